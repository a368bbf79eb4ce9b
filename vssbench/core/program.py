"""The name of the program as the user types it: in messages, help texts and records of commands."""

from __future__ import annotations

import sys
from pathlib import Path

#: what is typed in a checkout, and in examples of help texts before they are shown
IN_CHECKOUT = "python bench.py"
#: the command that an installation has
INSTALLED = "vssbench"
#: where that is which an installed package lacks, and how to come by it
CHECKOUT_ONLY = (
    f"come with a checkout, not with an installed package: run `{IN_CHECKOUT}`, or Python, in the "
    "folder of a checkout"
)


def program() -> str:
    """Return the words that call this program: ``python bench.py`` or ``vssbench``.

    As it was called; from elsewhere, as in a notebook or a worker process, as it can be called: by
    the script where this is a checkout.
    """
    called = Path(sys.argv[0]) if getattr(sys, "argv", None) else Path()
    if called.stem.lower() == INSTALLED:
        return INSTALLED
    if called.name == "bench.py" or (Path(__file__).parents[2] / "bench.py").is_file():
        return IN_CHECKOUT
    return INSTALLED


def as_called(text: str) -> str:
    """Return a help text whose examples have the program's name as it was called."""
    name = program()
    if name == IN_CHECKOUT:
        return text
    for typed, stands in (
        ("torchrun --nproc-per-node 4 bench.py", f"torchrun --nproc-per-node 4 --no-python {name}"),
        (IN_CHECKOUT, name),
        ("bench.py", name),
    ):
        text = text.replace(typed, stands)
    return text
