"""Runs one experiment: its identity, the stream of frames, the recorder and the store of
results.

The package is callable: :func:`vssbench.library.run`.
"""

from vssbench.core.callable import callable_package

callable_package(__name__)
