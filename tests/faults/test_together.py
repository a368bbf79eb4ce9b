"""Two processes that measure the same into one store, at the same time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.faults.conftest import CLIPS
from tests.faults.forks import Forks
from tests.faults.test_disk import runs
from vssbench.core.hidden import PREFIX
from vssbench.run.store import RunStore

#: from here on there are two of this process, and the first one waits for the other at its end: for
#: no other child, as an encoder's process is, which ends with its own parent alone
TWICE = "import builtins, os; builtins.other = os.fork()"
WAIT = """
import builtins, os
if builtins.other:
    print("both", os.waitpid(builtins.other, 0)[1])
"""


def test_two_runs_into_one_store_at_once(
    forks: Forks, drive: Path, weights: Path, tmp_path: Path
) -> None:
    """One encodes the stream that both need, both measure, and each experiment is there once."""
    alone, root = tmp_path / "alone", tmp_path / "runs"
    more = ["-c", "raw[gop=2]"]
    assert forks.run(*runs(drive, weights, alone, "h264[gop=4]"), *more).status == 0
    ended = forks.run(*runs(drive, weights, root, "h264[gop=4]"), *more, code=TWICE, after=WAIT)
    assert ended.status == 0
    assert "Traceback" not in ended.stderr
    assert "both 0" in ended.stdout
    expected, found = (
        {run.measurement.run_id: run for run in RunStore(place).runs()} for place in (alone, root)
    )
    assert found.keys() == expected.keys()
    for name, run in found.items():
        assert run.measurement.status == "done"
        assert run.confusion is not None
        np.testing.assert_array_equal(run.confusion.matrices, expected[name].confusion.matrices)
    assert len(list((root / ".cache").glob("*.mkv"))) == CLIPS
    assert not [path for path in root.rglob("*") if path.name.startswith(PREFIX)]
