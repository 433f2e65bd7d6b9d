"""Precisions of the network's arithmetic. fp32 gives the same numbers on every machine, up to rounding; bf16 is faster
where the processor or GPU supports it natively."""

from __future__ import annotations

import os

import torch

# Values of ONEDNN_MAX_CPU_ISA under which oneDNN, which torch and OpenVINO use, has no native bfloat16.
WITHOUT_BFLOAT16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"}


def native_bfloat16(device: str = "cpu") -> bool:
    """Return whether the processor or GPU multiplies bfloat16 natively; emulated, it is slower than fp32.

    With ONEDNN_MAX_CPU_ISA=AVX512_CORE a newer processor behaves like an older one.
    """
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT_BFLOAT16:
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def resolve_precision(precision: str, device: str = "cpu") -> str:
    """Replace a training run's `auto` by bf16 if that is native, else by fp32; return other precisions unchanged.

    The choice depends on the processor and never on a timing: a resumed run must continue in the precision it began
    with.
    """
    if precision != "auto":
        return precision
    return "bf16" if native_bfloat16(device) else "fp32"


def autocast(precision: str, device: str = "cpu") -> torch.autocast:
    """Return the context in which the network's forward pass runs; `device` is a torch device type."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=resolve_precision(precision, device) == "bf16")
