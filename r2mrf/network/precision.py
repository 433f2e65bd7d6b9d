"""Number format of the network's arithmetic, chosen by what the processor can do, never by a timing:
a run that is resumed must go on in the format it began with."""

from __future__ import annotations

import torch


def resolve(precision: str, device: str = "cpu") -> str:
    """`auto` -> `bf16` where the processor or GPU multiplies bfloat16 natively, else `fp32`; others unchanged."""
    if precision != "auto":
        return precision
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capabilities = torch.cpu.get_capabilities()
    # without these, bfloat16 on a processor is emulated, and many times slower than fp32
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"


def autocast(precision: str, device: str = "cpu") -> torch.autocast:
    """Context in which the network's forward runs; `device` is a torch device type."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=resolve(precision, device) == "bf16")
