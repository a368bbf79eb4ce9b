"""Decoders that crash or hang, planted into the process that decodes: by the name of the file,
``segv-movie.mkv`` ends it by SIGSEGV where the module ``movie`` opens it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from vssbench.data import opening

_plain = opening.open_video


def _hang() -> None:
    while True:
        pass


FAULTS: dict[str, Callable[[], object]] = {
    "segv": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "hang": _hang,
}


def planted(source: object) -> object:
    """Open a video as ever, unless its name asks for a fault here."""
    fault, _, module = Path(str(source)).stem.partition("-")
    caller = sys._getframe(1).f_globals["__name__"].rpartition(".")[2]
    if fault in FAULTS and module in (caller, "all"):
        FAULTS[fault]()
    return _plain(source)  # type: ignore[arg-type]


opening.open_video = planted  # type: ignore[assignment]
