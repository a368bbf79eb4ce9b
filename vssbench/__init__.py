"""vssbench: the benchmark and reproduction harness for efficient video semantic segmentation.

The plug-in folders ``methods/`` and ``datasets/`` lie beside this package in a source checkout;
they are always imported as ``vssbench.methods.<name>`` and ``vssbench.datasets.<name>``, so that no
top-level ``datasets`` package ever exists.
"""

from pathlib import Path

from vssbench.core.version import __version__

__all__ = ["__version__"]

_checkout = Path(__file__).resolve().parent.parent
# a source checkout: the plug-in folders lie beside this package
if (_checkout / "bench.py").is_file():
    __path__.append(str(_checkout))
