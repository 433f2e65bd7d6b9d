"""The number format: the processor's native one, while weights stay float32."""

import pytest
import torch

from r2mrf.network.precision import autocast, native_bfloat16, resolve_precision


@pytest.mark.parametrize(
    ("capabilities", "format"),
    [
        ({}, "fp32"),
        ({"avx2": True, "avx512": True}, "fp32"),  # it would be emulated
        ({"avx512_bf16": True, "amx_bf16": False}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
    ],
)
def test_auto_is_the_native_precision_of_the_processor(monkeypatch, capabilities, format):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert resolve_precision("auto") == format


@pytest.mark.parametrize(
    ("most", "native"),
    [("AVX2", False), ("avx512_core", False), ("AVX512_CORE_BF16", True), ("AVX512_CORE_AMX", True), ("DEFAULT", True)],
)
def test_a_newer_processor_can_behave_like_an_older_one(monkeypatch, most, native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", most)
    assert native_bfloat16() is native


@pytest.mark.parametrize("native", [True, False])
def test_auto_on_a_gpu(monkeypatch, native):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native and not including_emulation)
    assert resolve_precision("auto", "cuda") == ("bf16" if native else "fp32")


@pytest.mark.parametrize("format", ["bf16", "fp32"])
def test_what_is_asked_for_is_done(monkeypatch, format):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert resolve_precision(format) == format
    with autocast(format):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == {"bf16": torch.bfloat16, "fp32": torch.float32}[format]
