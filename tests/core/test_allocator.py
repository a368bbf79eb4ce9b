"""Page faults of a process that frees and takes large blocks again and again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys
from vssbench.core.allocator import keep_freed_memory
large = sys.argv[1:] == ['large']
print(keep_freed_memory(large=large))
def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        sizes = (5, 40, 90) if large else (1, 3, 9, 20)
        blocks = [bytearray(size << 20) for size in sizes]  # zeroed: every page is touched
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(2)
print(faults(20))
"""


def run(*arguments: str, **variables: str) -> tuple[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **variables},
        timeout=60,
    )
    agreed, faults = done.stdout.split()
    return agreed, int(faults)


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="glibc's allocator is not this system's"
)
def test_freed_blocks_are_used_again() -> None:
    agreed, faults = run()
    assert agreed == "True"
    assert faults < 100  # 33 MiB hold over 8,000 pages
    # what the environment settles is left alone: here, that every block comes from the kernel
    assert run(MALLOC_MMAP_THRESHOLD_="131072")[0] == "False"
    assert run(MALLOC_MMAP_THRESHOLD_="131072")[1] > 20 * 8000


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="glibc's allocator is not this system's"
)
def test_a_trainings_large_blocks_are_used_again_too() -> None:
    agreed, faults = run("large")
    assert agreed == "True"
    assert faults < 100  # 135 MiB hold over 33,000 pages
