"""Which float type a processor trains faster with, known by its instructions."""

import pytest
import torch

from siamese_mnist.system.precision import computes_in_bfloat16

CPU = torch.device("cpu")


@pytest.mark.parametrize("has", [True, False])
def test_what_is_named_is_taken(monkeypatch, has):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has}, raising=False)
    assert computes_in_bfloat16("bfloat16", CPU)
    assert not computes_in_bfloat16("float32", CPU)
    assert computes_in_bfloat16("fastest", CPU) == has


@pytest.mark.parametrize(("name", "fast"), [("avx512_bf16", True), ("amx_bf16", True), ("avx512_f", False)])
def test_the_fastest_is_known_by_instructions(monkeypatch, name, fast):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, name: True}, raising=False)
    assert computes_in_bfloat16("fastest", CPU) == fast
    assert not computes_in_bfloat16("fastest", torch.device("meta"))


@pytest.mark.parametrize("has", [True, False])
def test_earlier_versions_of_pytorch(monkeypatch, has):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert computes_in_bfloat16("fastest", CPU) == has
