"""Workers for the compiled kernels: ctypes releases the interpreter's lock, so that Python's
threads run them side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor

_scratch = threading.local()


def scratch(floats: int) -> Tensor:
    """Return memory of this thread, at least ``floats`` long, kept from call to call.

    Fresh memory costs page faults.
    """
    memory: Tensor | None = getattr(_scratch, "memory", None)
    if memory is None or memory.numel() < floats:
        memory = torch.empty(floats, dtype=torch.float32)
        _scratch.memory = memory
    return memory


def in_parallel(work: Callable[..., None], tasks: Sequence[tuple[int, ...]]) -> None:
    """Run ``work(*task)`` for every task, by as many threads as PyTorch uses.

    An error of any of them is raised.
    """
    workers = min(torch.get_num_threads(), len(tasks))
    if workers <= 1:
        _drain(work, iter(tasks), threading.Lock())
        return
    remaining, lock = iter(tasks), threading.Lock()
    futures = [_pool(workers - 1).submit(_drain, work, remaining, lock) for _ in range(workers - 1)]
    _drain(work, remaining, lock)
    for future in futures:
        future.result()


def _drain(
    work: Callable[..., None], tasks: Iterable[tuple[int, ...]], lock: threading.Lock
) -> None:
    iterator = iter(tasks)
    while True:
        with lock:
            task = next(iterator, None)
        if task is None:
            return
        work(*task)


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="vssbench-native")


if hasattr(os, "register_at_fork"):  # a forked process has the pool's record but not its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
