"""Packages that can be called as functions: ``vssbench.run(...)`` beside ``vssbench.run.store``.

A package and a function of the same name would shadow each other by the order of imports. So the
package itself is made callable, and means the same however it was imported.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

#: the module whose functions such packages call
LIBRARY = "vssbench.library"


class CallablePackage(ModuleType):
    """A package that calls the function of :mod:`vssbench.library` that has its name, imported
    when it is first called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(
            import_module(LIBRARY), self.__name__.rpartition(".")[2]
        )
        return function

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.__wrapped__)


def callable_package(name: str) -> None:
    """Make the package of that name callable; its ``__init__`` calls this with ``__name__``."""
    sys.modules[name].__class__ = CallablePackage
