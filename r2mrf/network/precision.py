"""Number formats of the network's arithmetic: fp32, which gives the same numbers on every machine to rounding, and
bf16, which is faster where the processor or GPU multiplies it natively."""

from __future__ import annotations

import os

import torch

# Values of ONEDNN_MAX_CPU_ISA that keep oneDNN, which convolves for torch and OpenVINO, from native bfloat16.
WITHOUT_BFLOAT16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"}


def native_bfloat16(device: str = "cpu") -> bool:
    """Return whether the processor or GPU multiplies bfloat16 itself. Emulated, it is slower than fp32.

    ONEDNN_MAX_CPU_ISA=AVX512_CORE makes a newer processor behave like an older one.
    """
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT_BFLOAT16:
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def resolve_precision(precision: str, device: str = "cpu") -> str:
    """Turn a training run's `auto` into bf16 where it is native, else fp32; return other formats unchanged.

    It goes by the processor and never by a timing: a run that is resumed must continue in the format it began with.
    """
    if precision != "auto":
        return precision
    return "bf16" if native_bfloat16(device) else "fp32"


def autocast(precision: str, device: str = "cpu") -> torch.autocast:
    """Return the context in which the network's forward pass runs; `device` is a torch device type."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=resolve_precision(precision, device) == "bf16")
