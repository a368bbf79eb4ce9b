"""Page faults of a process that frees and takes large blocks again and again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from vssbench.core.allocator import HUGE_PAGES

#: what the kernel says of huge pages
PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
#: the environment without what settles them
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != HUGE_PAGES}
#: counts the page faults of ``work``, which is defined before it
FAULTS = """
import resource
def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(2)
print(faults(20))
"""
BLOCKS = """
import sys
from vssbench.core.allocator import keep_freed_memory
large = sys.argv[1:] == ['large']
print(keep_freed_memory(large=large))
def work():
    sizes = (5, 40, 90) if large else (1, 3, 9, 20)
    blocks = [bytearray(size << 20) for size in sizes]  # zeroed: every page is touched
"""
TENSORS = """
import sys, torch
from vssbench.core.allocator import ask_for_huge_pages
if sys.argv[1:] == ['huge']:
    ask_for_huge_pages()
def work():
    torch.ones(64 << 20, dtype=torch.uint8)
"""


def printed(work: str, *arguments: str, **variables: str) -> list[str]:
    """Return what a process prints that does some work again and again: its page faults last."""
    done = subprocess.run(
        [sys.executable, "-c", work + FAULTS, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT | variables,
        timeout=60,
    )
    return done.stdout.split()


def run(*arguments: str, **variables: str) -> tuple[str, int]:
    agreed, faults = printed(BLOCKS, *arguments, **variables)
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


def faults_of_tensors(*arguments: str, **variables: str) -> int:
    (faults,) = printed(TENSORS, *arguments, **variables)
    return int(faults)


@pytest.mark.skipif(
    not PAGES.is_file() or "[madvise]" not in PAGES.read_text(encoding="ascii"),
    reason="the kernel gives huge pages to all or to none",
)
def test_large_tensors_get_huge_pages_unless_the_environment_forbids_it() -> None:
    plain, huge = faults_of_tensors(), faults_of_tensors("huge")
    assert plain > 20 * 16_000  # 64 MiB hold 16,384 pages
    assert huge < plain / 20  # the ends of a block have small ones
    assert faults_of_tensors("huge", **{HUGE_PAGES: "0"}) > 20 * 16_000
