"""Memory and threads that run out: Python, numpy, PyTorch, OpenCV and the system each have errors
of their own for it, which mean the same."""

from __future__ import annotations

import errno
import mmap
import re
from contextlib import suppress
from pathlib import Path

from vssbench.core.errors import VssbenchError

REMEDY = "take smaller frames, fewer clips or a smaller model"
#: what libraries write where memory runs out, in errors of any type
_MEMORY = re.compile(
    r"can't allocate memory|cannot allocate memory|out of memory|bad_alloc|insufficient memory"
    r"|failed to map segment from shared object|can't allocate region|not enough memory",
    re.IGNORECASE,
)
#: what oneDNN says in PyTorch where it gets no memory, and seldom else
_ARITHMETIC = re.compile(r"could not (?:create|execute) a primitive")
#: bytes of address space; a process that has had all but these of what it may have is short of it
_CLOSE = 64 << 20
#: what PyTorch writes of a process that loads data and was killed
_LOADER = re.compile(r"DataLoader worker \(pid.*\) (?:is killed by signal: (\w+)|exited unexpect)")
_ASKED = re.compile(r"[Tt]ried to allocate ([\d.]+ \w+)")


#: bytes that a record takes, and more
_RECORD = 8 << 20


def check_memory() -> None:
    """Raise MemoryError where there is too little memory to make, read or write a record.

    The library that does so ends the process where it gets none, or waits for ever.
    """
    try:
        mmap.mmap(-1, _RECORD).close()  # asked for and given back, never touched: it costs no time
    except OSError as error:
        raise MemoryError(f"no {_RECORD >> 20} MiB for a record") from error


def shortage(error: BaseException) -> str:
    """Say what ran out, and what to do, where an error means that; empty where it does not."""
    text = str(error).strip()
    if isinstance(error, VssbenchError):
        return ""
    if isinstance(error, RuntimeError) and (killed := _LOADER.search(text)):
        return _of_loader(killed[1] or "")
    if isinstance(error, RuntimeError) and "can't start new thread" in text:
        return (
            "no thread could be started: memory ran out, or the number of threads and processes "
            "that this user may have (ulimit -u); close other programs"
        )
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return f"memory ran out{_detail(text)}: {REMEDY}"
    if isinstance(error, RuntimeError) and _ARITHMETIC.search(text):
        return f"{text.partition(chr(10))[0]}, as happens where memory runs out: {REMEDY}"
    if isinstance(error, Exception) and _MEMORY.search(text):
        whose = "the GPU's memory" if "CUDA" in text else "memory"
        return f"{whose} ran out{_detail(text)}: {REMEDY}"
    if isinstance(error, Exception) and _at_its_limit():
        words = f"{type(error).__name__}: {text.partition(chr(10))[0]}"
        return f"{words}, in a process that has had all memory that it may have (ulimit -v)"
    return ""


def _at_its_limit() -> bool:
    """Return whether this process has had nearly all the address space that it may have: libraries
    then fail in ways of which no two are alike."""
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        peak = int(status.partition("VmPeak:")[2].split()[0]) << 10
        return most != resource.RLIM_INFINITY and most - peak < _CLOSE
    return False


def _detail(text: str) -> str:
    """Return in brackets how much was asked for, or else what the library says of it."""
    asked = _ASKED.search(text)
    words = f"{asked[1]} were asked for" if asked else text.partition("\n")[0][:200]
    return f" ({words})" if words else ""


def _of_loader(signal: str) -> str:
    if signal == "Bus":
        return (
            "the memory that processes share (/dev/shm) ran out: give it more (docker run "
            "--shm-size=8g), or take --workers 0"
        )
    return (
        "a process that loads data was ended, as happens where memory runs out: take fewer "
        "--workers, less --memory or a smaller --batch"
    )
