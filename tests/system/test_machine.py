"""The machine in words."""

import os
from pathlib import Path

import pytest

from siamese_mnist.system.machine import machine

CPUINFO = "processor\t: 0\nmodel name\t: {name}\nflags\t\t: fpu {flags}\n\nprocessor\t: 1\nmodel name\t: another\n"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("avx2", "A B (AVX2)"),
        ("avx2 avx512f", "A B (AVX-512)"),
        ("avx2 avx512_bf16 avx512f", "A B (AVX-512 with bfloat16)"),
        ("amx_bf16 avx512_bf16", "A B (AMX)"),
        ("sse2", "A B"),
    ],
)
def test_it_says_what_tells_the_speed(monkeypatch, flags, told):
    monkeypatch.setattr(Path, "read_text", lambda _: CPUINFO.format(name="A B", flags=flags))
    assert machine() == f"{told}, {os.cpu_count()} cores"


def test_without_a_list_of_processors(monkeypatch):
    def missing(_):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert machine().endswith(f"{os.cpu_count()} cores")
