"""Makes torchvision importable where its compiled operators do not load.

A torchvision wheel of the package registry beside a CPU build of torch leaves its operators out,
and then fails on import: it describes operators that nobody defined (``operator torchvision::nms
does not exist``). ptflops imports torchvision. The schemas alone, without kernels, make the import
pass; calling such an operator still fails, in words.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

import torch

#: operators that torchvision describes to torch on import whether or not it could load them
_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}

#: torch withdraws a library's operators when the object is collected
_libraries: list[torch.library.Library] = []


def install() -> None:
    """Import torchvision, defining the operators that it misses. Nothing happens without
    torchvision, or a second time.

    Raises what torchvision's import raises where missing operators are not the reason.
    """
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is None:
        return
    _forget("torchvision")  # of an import that failed before
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        _define_missing()
        _forget("torchvision")
        importlib.import_module("torchvision")


def _define_missing() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in _SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
    _libraries.append(library)


def _forget(package: str) -> None:
    """Drop what a failed import left behind: a new parent package would lack its submodules as
    attributes."""
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
