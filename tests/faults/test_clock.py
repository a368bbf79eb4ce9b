"""A clock that jumps by hours, forwards and backwards, whenever it is read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.faults.conftest import METHOD
from tests.faults.forks import ROOT
from tests.native.conftest import needs_compiler
from vssbench.codec import cache as caches
from vssbench.core import locks
from vssbench.report.choose import newest
from vssbench.report.rows import stored_rows
from vssbench.run.measurement import Measurement
from vssbench.run.store import RunStore

SOURCE = Path(__file__).with_name("clock.c")


@pytest.fixture
def jumping(tmp_path: Path) -> dict[str, str]:
    """The environment of a process whose wall clock jumps by three hours at each look."""
    library = tmp_path / "clock.so"
    compiler = next(filter(shutil.which, ("cc", "gcc", "clang")))
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    environment = os.environ | {"LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
    code = "import time; first = time.time(); print(abs(time.time() - first) > 20000)"
    seen = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    if seen.stdout.strip() != "True":
        pytest.skip("this Python does not read its clock by the C library")
    return environment


@needs_compiler
def test_a_sweep_measures_right_times_and_ends(
    jumping: dict[str, str], drive: Path, weights: Path, tmp_path: Path
) -> None:
    """Worker processes, limits of time, locks, drafts, an encoder: nothing waits for the wall
    clock, and no time is measured by it."""
    command = [
        sys.executable, "bench.py", "sweep", "-m", METHOD, "-d", "folder", "--data-root",
        str(drive), "--weights", str(weights), "-c", "h264[gop=4]", "--runs",
        str(tmp_path / "runs"), "--workers", "1", "--time-limit", "30m",
    ]  # fmt: skip
    before = time.monotonic()
    ended = subprocess.run(
        command, cwd=ROOT, env=jumping, capture_output=True, text=True, check=False
    )
    elapsed = time.monotonic() - before
    assert ended.returncode == 0, ended.stderr
    (run,) = RunStore(tmp_path / "runs").runs()
    assert 0 < run.measurement.seconds < elapsed
    assert all(0 <= seconds < elapsed for seconds in run.measurement.spent.values())
    if run.latency is not None:
        for times in (run.latency.decode_ms, run.latency.motion_ms, run.latency.model_ms):
            assert np.all((times >= 0) & (times < 1000 * elapsed))


def test_what_was_read_last_stays_in_the_cache_whatever_the_clock_says(tmp_path: Path) -> None:
    """The machine's clock was three hours ahead while ``a`` and ``b`` were read."""
    ahead = time.time() + 3 * 3600
    paths = [tmp_path / f"{name}.0123456789abcdef.mkv" for name in "abc"]
    for path in paths:
        path.write_bytes(b"x")
    with locks.lock(tmp_path / "locks", "a"):
        pass
    for place, path in enumerate((*paths[:2], tmp_path / "locks")):
        os.utime(path, (ahead + place, ahead + place))
    caches.touch(paths[2])
    caches.touch(paths[0])
    assert [stream.key for stream in caches.kept(tmp_path)] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("first", "second"), [("2199-01-01", "2026-01-01"), ("2026-01-01", "2026-01-02")]
)
def test_a_run_dated_in_the_future_is_not_the_newest(
    tmp_path: Path, first: str, second: str
) -> None:
    """Its date cannot be true, so that nothing says that it came after another."""
    store = RunStore(tmp_path)
    for name, date in (("first", first), ("second", second)):
        store.write(
            Measurement(
                run_id=name, created=f"{date}T00:00:00+00:00", status="failed", method="pspnet",
                display="PSPNet", dataset="camvid", codec="raw", protocol="dense",
            ),
            None, None, {}, "",
        )  # fmt: skip
    kept, older = newest(stored_rows(store))
    assert ([row["run_id"] for row in kept], older) == (["second"], 1)
