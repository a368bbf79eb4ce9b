"""vssbench: the benchmark and reproduction harness for efficient video semantic segmentation.

The plug-in folders ``methods/`` and ``datasets/`` lie beside this package in a source checkout;
they are always imported as ``vssbench.methods.<name>`` and ``vssbench.datasets.<name>``, so that no
top-level ``datasets`` package ever exists.

As a library it has ``run``, ``cost``, ``results``, ``published``, ``export``, ``score``,
``segment`` and ``motion`` (docs/library.md). They are imported when they are first asked for:
``import vssbench`` loads neither torch nor pandas.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vssbench.library import cost, export, motion, published, results, run, score, segment

from vssbench.core.version import __version__

__all__ = [
    "__version__", "cost", "export", "motion", "published", "results", "run", "score", "segment",
]  # fmt: skip

#: functions that share their name with a package, which is callable for that reason
_PACKAGES = ("cost", "run", "segment")
_FUNCTIONS = ("export", "motion", "published", "results", "score")

_checkout = Path(__file__).resolve().parent.parent
# a source checkout: the plug-in folders lie beside this package
if (_checkout / "bench.py").is_file():
    __path__.append(str(_checkout))


def __getattr__(name: str) -> Any:
    """Import a function of the library when it is first asked for."""
    if name in _PACKAGES:
        return import_module(f"vssbench.{name}")
    if name in _FUNCTIONS:
        return getattr(import_module("vssbench.library"), name)
    raise AttributeError(f"module 'vssbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
