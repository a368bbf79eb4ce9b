"""Description of the machine and the command of a measurement.

Rows of different machines are never ranked together.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vssbench.core.errors import UsageError
from vssbench.core.program import program

#: the file in which Linux describes its processors, one after the other
_PROCESSORS = Path("/proc/cpuinfo")
#: packages whose version may change a number
_PACKAGES = ("torch", "torchvision", "av", "numpy", "pillow", "fvcore", "ptflops")
#: beginnings of environment variables that change times
_VARIABLES = (
    "OMP_",
    "THP_",
    "MKL_",
    "KMP_",
    "GOMP_",
    "ONEDNN_",
    "DNNL_",
    "TORCH_",
    "CUDA_",
    "CUDNN_",
    "NVIDIA_TF32",
    "VSSBENCH_NATIVE",
)
#: what is asked of nvidia-smi
_GPU_FIELDS = (
    "driver_version",
    "pstate",
    "clocks.sm",
    "clocks.max.sm",
    "clocks.mem",
    "temperature.gpu",
    "power.limit",
    "memory.total",
    "utilization.gpu",
    "mig.mode.current",
)


def describe_machine(device: str) -> dict[str, Any]:
    """Return processor, cores, threads, GPU, and versions of what computes."""
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


def describe_environment(device: str) -> dict[str, Any]:
    """Return :func:`describe_machine`, and all else that times depend on.

    Some of it changes from run to run, so that it is no part of an identity.

    ``flags`` of the processor, ``usable_cores`` of this process, clock ``governor`` ('' where it
    cannot be read), ``load_average`` of 1, 5 and 15 minutes, memory in MB (2^20 bytes), the GPU's
    driver, memory and clocks, how torch was built and is set, and the revision of a checkout.
    """
    import psutil

    memory = psutil.virtual_memory()
    return {
        **describe_machine(device),
        "flags": list(_cpu().get("flags", ())),
        "usable_cores": _usable_cores(),
        "governor": _governor(),
        "load_average": list(psutil.getloadavg()),
        "memory_mb": memory.total >> 20,
        "memory_available_mb": memory.available >> 20,
        "gpu_state": _gpu_state() if device.startswith("cuda") else {},
        "torch_build": _torch_build(device),
        "variables": {
            key: value for key, value in sorted(os.environ.items()) if key.startswith(_VARIABLES)
        },
        "git_revision": git_revision(),
    }


def throttle_events() -> int:
    """Count how often the processor lowered its clock for heat since its start.

    The count is Linux's; 0 where unknown.
    """
    folder = Path("/sys/devices/system/cpu")
    return sum(
        int(_read(path) or 0) for path in folder.glob("cpu[0-9]*/thermal_throttle/*_throttle_count")
    )


@cache
def git_revision() -> str:
    """Return the checkout's commit, with ``-dirty`` where tracked files were changed; '' where this
    is no checkout."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return ""
    commit = _output("git", "--no-optional-locks", "-C", str(folder), "rev-parse", "HEAD")
    return commit + (
        "-dirty"
        if commit
        and _output("git", "--no-optional-locks", "-C", str(folder), "diff", "--name-only", "HEAD")
        else ""
    )


def _output(*command: str) -> str:
    """Return the output of a tool; '' where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=20,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _governor() -> str:
    """Return the governor of the first core's clock, '' where the system does not tell."""
    return _read(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))


def _gpu_state() -> dict[str, str]:
    """Return the state of the first GPU by NVIDIA's tool; empty without it."""
    answer = _output("nvidia-smi", f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader")
    values = [value.strip() for value in answer.splitlines()[0].split(",")] if answer else []
    return dict(zip(_GPU_FIELDS, values, strict=False))


def _torch_build(device: str) -> dict[str, Any]:
    """Describe torch's build, and those of its settings that change times."""
    import torch

    cuda = device.startswith("cuda")
    return {
        "config": torch.__config__.show(),
        "cuda": torch.version.cuda or "",
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "tf32_convolutions": torch.backends.cudnn.allow_tf32,
        "matmul_precision": torch.get_float32_matmul_precision(),
        "interop_threads": torch.get_num_interop_threads(),
        "gpu_memory_mb": torch.cuda.get_device_properties(device).total_memory >> 20
        if cuda
        else None,
    }


def _read(path: Path) -> str:
    """Read a file of the system; '' where there is none."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


@cache
def _cpu() -> dict[str, Any]:
    """Return the processor's name as ``brand_raw`` and its ``flags``, by Linux itself where it
    tells, else by py-cpuinfo, which takes a second; nothing where neither knows it."""
    first = _read(_PROCESSORS).partition("\n\n")[0]
    lines = (line.partition(":") for line in first.splitlines())
    told = {key.strip(): value.strip() for key, _, value in lines}
    if told.get("model name") and told.get("flags"):
        return {"brand_raw": told["model name"], "flags": sorted(told["flags"].split())}
    import cpuinfo

    try:
        return cpuinfo.get_cpu_info()
    except Exception:  # it raises the bare class for a system that it does not know
        return {}


def _cpu_name() -> str:
    """Return the processor's name as it gives it itself, else what Python knows."""
    return _cpu().get("brand_raw") or platform.processor() or platform.machine()


def _usable_cores() -> int | None:
    """Return the number of cores that this process may use."""
    import psutil

    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):
        return len(process.cpu_affinity())
    return os.cpu_count()


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def typed_command() -> str:
    """Return the command line as it can be typed again; the data's folder, which differs
    everywhere, as DIR, and of any other whole path the last name."""
    words = [*program().split(), *sys.argv[1:]]
    masked = [
        "DIR" if before == "--data-root" else _without_place(word)
        for before, word in zip(["", *words], words, strict=False)
    ]
    return " ".join(shlex.quote(word) for word in masked)


def _without_place(word: str) -> str:
    """Return a word of a command line without the folders of this machine: of a whole path the last
    name, of one behind an equals sign, as of data, DIR."""
    if word.startswith("/"):
        return Path(word).name or word
    return re.sub(r"=/[^,\]]*", "=DIR", word)


def check_device(device: str) -> None:
    """Raise UsageError where torch knows no such device, or this machine has none."""
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise UsageError(f"unknown device {device!r}: expected cpu, cuda or cuda:N") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"--device {device}: torch {torch.__version__} sees no CUDA device here; use --device "
            "cpu"
        )
    if kind not in ("cpu", "cuda"):
        raise UsageError(f"--device {device} is not supported: expected cpu, cuda or cuda:N")
