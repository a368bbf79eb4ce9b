"""The file of a store's index: where it lies, and whether what is there may be used."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import Any

from vssbench.core import files, reading
from vssbench.core.bounds import ARRAYS
from vssbench.core.errors import DataError
from vssbench.run.identity import code_version
from vssbench.run.store import RunStore

INDEX = ".index.json"
#: packages whose source makes the facts of a run
_PACKAGES = ("core", "metrics", "report", "run")
#: what an index gives that is none, or is too large
_UNREADABLE = (OSError, DataError, ValueError)


def load(store: RunStore) -> dict[str, Any]:
    """Return the index as it is stored; empty where it does not read."""
    path = store.root / INDEX
    with suppress(*_UNREADABLE):
        if path.is_file() and not path.is_symlink():
            text = reading.read_bytes(path, ARRAYS).decode("ascii")
            head = _head(body := "{" + text[_HEAD_LENGTH:])
            if text.startswith(head):
                content: dict[str, Any] = json.loads(body)
                return content
    return {"version": None, "runs": {}}


def save(store: RunStore, content: dict[str, Any]) -> None:
    """Write the index; where nobody may, the runs are read each time."""
    with suppress(DataError):
        body = json.dumps(content, default=float)
        files.write_text(store.root / INDEX, _head(body) + body.removeprefix("{"))


def writable(store: RunStore) -> bool:
    """Return whether an index may be written: where another thing has its name, none is."""
    path = store.root / INDEX
    free = path.is_file() or not path.exists()
    return free and not path.is_symlink() and os.access(store.root, os.W_OK)


def version() -> str:
    """Return the version of the source that makes what the index holds."""
    return code_version(packages=_PACKAGES)


def _head(body: str) -> str:
    """Return what an index begins with: the digest of the rest, which none has that was altered or
    damaged."""
    return f'{{"sha256": "{hashlib.sha256(body.encode()).hexdigest()}", '


_HEAD_LENGTH = len(_head(""))
