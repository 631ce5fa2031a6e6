"""The machine that a figure was measured on, in words."""

import os
import platform
from datetime import date
from pathlib import Path

_INSTRUCTIONS = {  # the first that a processor has tells most
    "amx_bf16": "AMX",
    "avx512_bf16": "AVX-512 with bfloat16",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
}


def made_by(command: str) -> str:
    """The sentence that says which command made a page, where and when."""
    return f"Made by `{command}` on {machine()}, {date.today():%d %B %Y}."


def machine() -> str:
    """Processor, what tells its speed, and number of cores, such as "AMD EPYC 7763 (AVX2), 2 cores"."""
    return f"{_processor()}, {os.cpu_count()} cores"


def _processor() -> str:
    try:
        lines = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    except OSError:
        lines = []
    told = {name.strip(): value.strip() for name, _, value in reversed(lines)}
    flags = told.get("flags", "").split()
    instructions = next((words for flag, words in _INSTRUCTIONS.items() if flag in flags), None)
    name = told.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({instructions})" if instructions else name
