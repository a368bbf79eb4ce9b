"""Values over all processes of a training: a loss that divides by a count of pixels divides by the
count over all of them.

Every function here leaves its argument alone where there is one process.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def several() -> bool:
    """Return whether this training runs on several processes."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def sum_over_processes(value: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes; not for gradients."""
    if not several():
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total


def mean_over_processes(count: Tensor) -> Tensor:
    """Return the mean of a loss's denominator over all processes.

    It is, say, the number of labelled pixels.

    A loss that is a sum over pixels divided by it, averaged over the processes, is the sum over all
    pixels divided by the count of all: the loss that one process with the whole batch has.
    """
    return sum_over_processes(count) / dist.get_world_size() if several() else count


def largest_over_processes(values: Tensor, count: int) -> Tensor:
    """Return the ``count``-th largest of the values (n,) of all processes together."""
    largest = torch.topk(values, min(count, len(values))).values
    if several():
        own = values.new_full((count,), -torch.inf)
        own[: len(largest)] = largest
        gathered = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(gathered, own)
        largest = torch.topk(torch.cat(gathered), count).values
    return largest[-1]
