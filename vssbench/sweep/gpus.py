"""The GPUs of a machine, shared out among processes that see one each."""

from __future__ import annotations

import os
from collections.abc import Iterable

from vssbench.sweep.executor import Task
from vssbench.sweep.worker import VISIBLE


def own_gpus(tasks: Iterable[Task]) -> list[str]:
    """Return the GPUs that workers may have for themselves, as CUDA_VISIBLE_DEVICES names them.

    Empty where tasks need none, name theirs (``cuda:1``), or have but one to share.
    """
    if {task.device for task in tasks} != {"cuda"}:
        return []
    found = visible()
    return found if len(found) > 1 else []


def visible() -> list[str]:
    """Return the GPUs that this process sees."""
    import torch

    given = os.environ.get(VISIBLE)
    names = [str(number) for number in range(torch.cuda.device_count())]
    if given is None:
        return names
    return [name.strip() for name in given.split(",")][: len(names)]
