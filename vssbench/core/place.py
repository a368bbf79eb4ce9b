"""The working directory, which belongs to the process: paths as they are typed begin there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def staying() -> Iterator[None]:
    """Come back to the working directory, whichever a plug-in goes to."""
    try:
        folder = os.getcwd()
    except OSError:  # it was removed: there is none to come back to
        folder = ""
    try:
        yield
    finally:
        if folder:
            os.chdir(folder)
