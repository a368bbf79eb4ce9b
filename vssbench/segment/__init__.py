"""A user's own video, segmented: as an overlay, in colours, or as indexed PNGs.

The package is callable: :func:`vssbench.library.segment`.
"""

from vssbench.core.callable import callable_package

callable_package(__name__)
