"""Kernels in C for what PyTorch and numpy do too slowly on a CPU; compiled on first use, with a
slower form beside each.

CReFF (``creff.c``) and convolutions of upsampled features (``upsampled_conv.c``) are bound by
memory when each step passes over the whole feature. Here they work on tiles that stay in the cache.
Motion (``motion.c``) and colour (``colour.c``) of decoded video work on numpy arrays; they need no
PyTorch, and loading them does not import it.

``VSSBENCH_NATIVE=0`` turns them off. Without a C compiler, where the build fails, or where a kernel
does not agree with the slower form on a small case, the slower form is used, and one logged line
says why.
"""

from __future__ import annotations

import ctypes
import logging
import os
from functools import cache
from typing import TYPE_CHECKING

from vssbench.native.compiler import BuildError, build

if TYPE_CHECKING:
    from vssbench.native.video import VideoKernels

log = logging.getLogger(__name__)


def available() -> bool:
    """Return whether the compiled kernels are in use."""
    return library() is not None


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, checked against PyTorch; None where they cannot be used."""
    if os.environ.get("VSSBENCH_NATIVE", "1") == "0":
        return None
    from vssbench.fast.check import disagreement

    try:
        kernels = ctypes.CDLL(str(build()))
        reason = disagreement(kernels)
    except (BuildError, OSError) as error:
        reason = str(error)
    if reason:
        log.warning("the compiled kernels are not used, PyTorch's slower forms are: %s", reason)
        return None
    return kernels


@cache
def video_kernels() -> VideoKernels | None:
    """The compiled kernels of motion and colour, checked against numpy; None where they cannot be
    used."""
    if os.environ.get("VSSBENCH_NATIVE", "1") == "0":
        return None
    from vssbench.codec.check_native import disagreement
    from vssbench.native.video import VideoKernels

    try:
        kernels = VideoKernels(ctypes.CDLL(str(build())))
        reason = disagreement(kernels)
    except (BuildError, OSError) as error:
        reason = str(error)
    if reason:
        log.warning(
            "the compiled kernels of motion and colour are not used, numpy's slower forms are: %s",
            reason,
        )
        return None
    return kernels
