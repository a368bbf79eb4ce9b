"""What a measurement ran on, and the command that made it: rows of different machines are never ranked together."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

#: packages whose version may change a number
_PACKAGES = ("torch", "torchvision", "av", "numpy", "pillow", "fvcore", "ptflops")


def describe_machine(device: str) -> dict[str, Any]:
    """Processor, cores, threads, GPU, and versions of what computes."""
    import torch

    gpu = torch.cuda.get_device_name(device) if device.startswith("cuda") else ""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "os": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _cpu_name() -> str:
    """The processor's name as Linux gives it, else what Python knows."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def typed_command() -> str:
    """The command line as it can be typed again; the data's folder, which differs everywhere, as DIR."""
    words = ["python", "bench.py", *sys.argv[1:]]
    masked = ["DIR" if before == "--data-root" else word for before, word in zip(["", *words], words, strict=False)]
    return " ".join(shlex.quote(word) for word in masked)
