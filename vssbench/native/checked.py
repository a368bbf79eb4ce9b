"""Compiled kernels that their users hold against slower forms of their own before they trust them:
a compiler's or a processor's fault must not spoil results."""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, TypeVar

from vssbench.native.compiler import BuildError, build

Kernels = TypeVar("Kernels")
#: small cases of one user: the name of a result, the kernels' and the slower form's
Cases = Callable[[Kernels], Iterator[tuple[str, Any, Any]]]

log = logging.getLogger(__name__)


class Checked(Generic[Kernels]):
    """The shared library as one kind of users sees it, refused as a whole where a case differs.

    ``bind`` makes the kernels of the loaded library, ``equal`` compares two results, ``surround``
    is entered while cases run, ``name`` and ``slower`` name the kernels and the slower forms in the
    one line that is logged where the kernels are refused. A module that uses the kernels adds its
    own cases when it is imported, so that this one knows none of its users.
    """

    def __init__(
        self,
        name: str,
        slower: str,
        bind: Callable[[ctypes.CDLL], Kernels],
        equal: Callable[[Any, Any], bool],
        surround: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.name, self.slower = name, slower
        self._bind, self._equal, self._surround = bind, equal, surround
        self._cases: list[Cases[Kernels]] = []
        self._lock = threading.RLock()
        self.forget()

    def add(self, cases: Cases[Kernels]) -> Cases[Kernels]:
        """Check these cases, too, before the kernels are used the next time."""
        with self._lock:
            self._cases.append(cases)
            self._waiting.append(cases)
        return cases

    def forget(self) -> None:
        """Load and check the kernels anew when they are asked for next, as a new process does."""
        with self._lock:
            self._kernels: Kernels | None = None
            self._loaded = False
            self._waiting = list(self._cases)

    def __call__(self) -> Kernels | None:
        """Return the kernels; None where they are turned off, not to be had, or refused."""
        if self._loaded and not self._waiting:
            return self._kernels
        with self._lock:
            if not self._loaded:
                self._kernels, self._loaded = self._load(), True
            while self._waiting:
                self._check(self._waiting.pop())
            return self._kernels

    def _load(self) -> Kernels | None:
        if os.environ.get("VSSBENCH_NATIVE", "1") == "0":
            return None
        try:
            return self._bind(ctypes.CDLL(str(build())))
        except (BuildError, OSError) as error:
            self._refuse(str(error))
            return None

    def _check(self, cases: Cases[Kernels]) -> None:
        if self._kernels is None:
            return
        wrong = self.differing(self._kernels, cases)
        if wrong:
            self._kernels = None
            self._refuse(f"{' and '.join(wrong)} differ from {self.slower}'s results")

    def differing(self, kernels: Kernels, cases: Cases[Kernels]) -> list[str]:
        """Return the names of the results in which the kernels and the slower form differ."""
        with self._surround():
            return [
                name
                for name, result, expected in cases(kernels)
                if not self._equal(result, expected)
            ]

    def _refuse(self, reason: str) -> None:
        log.warning("%s are not used, %s's slower forms are: %s", self.name, self.slower, reason)
