"""Dispatch modes and operators that do not make torch import its compiler."""

from __future__ import annotations

import sys
from typing import TypeVar

T = TypeVar("T")


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
            if shielded is not None and not hasattr(shielded, "__dynamo_disable"):
                shielded.__dynamo_disable = shielded
    return thing
