"""Page faults of a process that frees and takes large blocks again and again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import resource, psutil
from vssbench.core.allocator import hand_back_freed_memory, keep_freed_memory
print(keep_freed_memory())
def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        blocks = [bytearray(size << 20) for size in (1, 3, 9, 20, 40, 90)]  # every page is touched
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(2)
print(faults(20))
held = psutil.Process().memory_info().rss
hand_back_freed_memory()
print(held - psutil.Process().memory_info().rss)
"""
#: bytes of the blocks that are taken and freed at a time, and pages that they touch
BYTES = 163 << 20
PAGES = BYTES // 4096

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="glibc's allocator is not this system's"
)


def run(**variables: str) -> tuple[str, int, int]:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **variables},
        timeout=60,
    )
    agreed, faults, returned = done.stdout.split()
    return agreed, int(faults), int(returned)


def test_freed_blocks_of_any_size_are_used_again_until_they_are_handed_back() -> None:
    agreed, faults, returned = run()
    assert agreed == "True"
    assert faults < 100
    assert returned > 0.9 * BYTES


def test_what_the_environment_settles_is_left_alone() -> None:
    """Here, that every block comes from the kernel."""
    agreed, faults, returned = run(MALLOC_MMAP_THRESHOLD_="131072")
    assert agreed == "False"
    assert faults > 20 * PAGES * 0.9
    assert returned < BYTES / 10
