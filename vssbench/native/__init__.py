"""Kernels in C for what PyTorch and numpy do too slowly on a CPU; compiled on first use, with a
slower form beside each.

CReFF (``creff.c``) and convolutions of upsampled features (``upsampled_conv.c``) are bound by
memory when each step passes over the whole feature. Here they work on tiles that stay in the cache.
Motion (``motion.c``) and colour (``colour.c``) of decoded video work on numpy arrays; they need no
PyTorch, and loading them does not import it.

``VSSBENCH_NATIVE=0`` turns them off. Without a C compiler, where the build fails, or where a kernel
does not agree with the slower form on a small case, the slower form is used, and one logged line
says why. The slower forms and these cases belong to the modules that use the kernels: each brings
its own with :func:`check_with` or :func:`check_video_with`, and nothing here knows who they are.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from vssbench.native.checked import Cases, Checked
from vssbench.native.video import VideoKernels

#: by how much kernels of networks may differ from PyTorch, as a share of the largest value
TOLERANCE = 1e-4


def _close(result: Any, expected: Any) -> bool:
    return bool((result - expected).abs().max() <= TOLERANCE * expected.abs().max())


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Leave PyTorch's random state as it is, and compute in float32 without gradients."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad(), torch.autocast("cpu", enabled=False):
        torch.manual_seed(0)
        yield


_networks: Checked[ctypes.CDLL] = Checked(
    "the compiled kernels", "PyTorch", lambda library: library, _close, _undisturbed
)
# numbers of decoded video must be the same to the last bit
_video: Checked[VideoKernels] = Checked(
    "the compiled kernels of motion and colour", "numpy", VideoKernels, np.array_equal
)


def available() -> bool:
    """Return whether the compiled kernels of networks are in use."""
    return library() is not None


def library() -> ctypes.CDLL | None:
    """Return the compiled kernels of networks, checked against PyTorch; None where they cannot be
    used."""
    return _networks()


def check_with(cases: Cases[ctypes.CDLL]) -> Cases[ctypes.CDLL]:
    """Hold :func:`library` against these cases before it is used; a decorator.

    ``cases`` takes the kernels and yields a name, the kernels' tensor and PyTorch's. It runs with
    the random state seeded and restored behind it.
    """
    return _networks.add(cases)


def video_kernels() -> VideoKernels | None:
    """Return the compiled kernels of motion and colour, checked against numpy; None where they
    cannot be used."""
    return _video()


def check_video_with(cases: Cases[VideoKernels]) -> Cases[VideoKernels]:
    """Hold :func:`video_kernels` against these cases before they are used; a decorator.

    ``cases`` takes the kernels and yields a name, the kernels' array and numpy's, which must be
    equal to the last bit.
    """
    return _video.add(cases)
