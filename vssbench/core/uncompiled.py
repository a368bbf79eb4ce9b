"""Dispatch modes and operators that do not make torch import its compiler."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import FunctionType
from typing import Any, TypeVar

import torch

T = TypeVar("T")

#: torch's modules of operators in Python, which give shapes on the meta device
_IN_PYTHON = (
    "torch._decomp.decompositions", "torch._meta_registrations", "torch._prims", "torch._refs",
    "torch._refs.nn.functional",
)  # fmt: skip
#: the variable by which torch's decorators hold what they decorate
_DECORATED = "fn"


def uncompiled(thing: T) -> T:
    """Return the class of a dispatch mode, or an operator of ``torch.library.custom_op``, to be
    used without torch's compiler.

    torch shields their Python code from its compiler, and to that end imports it at the first call:
    one to two seconds in every process, though nothing is ever compiled here. The shield is told
    that it stands already. Where torch does it otherwise, nothing changes.
    """
    if "torch._dynamo" not in sys.modules:
        for shield in (
            getattr(thing, "__torch_dispatch__", None),
            *getattr(thing, "_backend_fns", {}).values(),
        ):
            shielded = getattr(shield, "__wrapped__", None)
            if shielded is not None:
                _leave(shielded)
    return thing


@cache
def leave_shapes_uncompiled() -> None:
    """Have torch find shapes on the meta device without its compiler: most of its operators in
    Python are shielded as :func:`uncompiled` describes, some within others."""
    if "torch._dynamo" in sys.modules:
        return
    shield = torch._disable_dynamo(_nothing).__code__
    for module in map(import_module, _IN_PYTHON):
        for operator in list(vars(module).values()):
            for function, decorated in _layers(operator):
                if function.__code__ is shield:
                    _leave(decorated)


def _nothing() -> None:
    """Take the place of what is shielded."""


def _layers(operator: Any) -> Iterator[tuple[FunctionType, Any]]:
    """Yield an operator's decorators from the outermost inwards, each with what it decorates."""
    while isinstance(operator, FunctionType):
        names = operator.__code__.co_freevars
        if _DECORATED not in names:
            return
        decorated = (operator.__closure__ or ())[names.index(_DECORATED)].cell_contents
        yield operator, decorated
        operator = decorated


def _leave(shielded: Any) -> None:
    """Tell a shield that it stands already."""
    if not hasattr(shielded, "__dynamo_disable"):
        shielded.__dynamo_disable = shielded
