"""Counts what a method costs: multiply-accumulates, parameters, memory.

The package is callable: :func:`vssbench.library.cost`.
"""

from vssbench.core.callable import callable_package

callable_package(__name__)
