"""Holds freshly loaded kernels against PyTorch on small cases: a compiler's or a processor's fault
must not spoil results."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor, nn

#: as a share of the largest value
TOLERANCE = 1e-4


def disagreement(kernels: ctypes.CDLL) -> str:
    """Describe what is wrong with the kernels; empty where nothing is."""
    with torch.random.fork_rng(devices=[]), torch.no_grad(), torch.autocast("cpu", enabled=False):
        torch.manual_seed(0)
        pairs = {"CReFF": _creff(kernels), "the upsampled convolution": _upsampled(kernels)}
    wrong = [name for name, (found, expected) in pairs.items() if not _close(found, expected)]
    return f"{' and '.join(wrong)} differ from PyTorch's results" if wrong else ""


def _close(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= TOLERANCE * expected.abs().max())


def _creff(kernels: ctypes.CDLL) -> tuple[Tensor, Tensor]:
    from vssbench.methods.arseg.fused_creff import compiled_creff, whole_creff

    query, key, value = (nn.Conv2d(24, 24, 3, padding=1, groups=24) for _ in range(3))
    low, reference, motion = (
        torch.randn(1, 24, 7, 9),
        torch.randn(1, 24, 13, 37),
        3 * torch.randn(1, 2, 13, 37),
    )
    case = (low, reference, motion, query, key, value, nn.Conv2d(24, 5, 1), 7, 0.5, "exact", True)
    return compiled_creff(kernels, *case), whole_creff(*case)


def _upsampled(kernels: ctypes.CDLL) -> tuple[Tensor, Tensor]:
    from vssbench.fast.upsampled_conv import UpsampledConv

    stage = UpsampledConv(nn.Conv2d(24, 40, 3, padding=1), torch.tensor(0.25))
    x = torch.randn(1, 24, 5, 7)
    return stage.compiled(kernels, x), stage.plain(x)
