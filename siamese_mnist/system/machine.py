"""The machine that a figure was measured on, in words."""

import os
import platform
from datetime import date
from pathlib import Path


def made_by(command: str) -> str:
    """The sentence that says which command made a page, where and when."""
    return f"Made by `{command}` on {machine()}, {date.today():%d %B %Y}."


def machine() -> str:
    """Processor and number of cores, such as "AMD EPYC 7763 64-Core Processor, 2 cores"."""
    return f"{_processor()}, {os.cpu_count()} cores"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
