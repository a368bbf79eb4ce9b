"""The digest of a run's arrays: of their files as they are, so that equal ones need not be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.run.runs import confusion, latency, measurement
from vssbench.core import arrays
from vssbench.core.errors import DataError
from vssbench.run.store import RunStore
from vssbench.run.stored import Run

FILES = ("confusion.npz", "latency.npz")


def stored(root: Path, run_id: str = "a1") -> Run:
    store = RunStore(root)
    store.write(measurement(run_id, frames=3), confusion(), latency(), {}, "")
    return store.get(run_id)


def test_it_is_of_the_arrays_alone(tmp_path: Path) -> None:
    run, other = stored(tmp_path), stored(tmp_path, "b2")
    assert run.digest() == other.digest()
    (other.path / "log.txt").write_text("another", encoding="utf-8")
    (other.path / "boundary.npz").write_bytes(b"a meter")
    assert run.digest() == other.digest()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", ["byte", "empty", "missing", "moved"])
def test_a_change_of_any_file_is_seen(tmp_path: Path, name: str, change: str) -> None:
    run = stored(tmp_path)
    before, path = run.digest(), run.path / name
    if change == "byte":
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(content)
    elif change == "empty":
        path.write_bytes(b"")
    elif change == "missing":
        path.unlink()
    else:
        path.rename(run.path / "stream.npz")
    assert run.digest() != before


def test_a_run_that_was_read_as_a_whole_sees_what_changes_after_its_first_digest(
    tmp_path: Path,
) -> None:
    path = stored(tmp_path).path / "latency.npz"
    run = RunStore(tmp_path).get("a1", whole=True)
    before = run.digest()
    assert run.digest() == before
    path.write_bytes(path.read_bytes()[:-1])
    assert run.digest() != before


@pytest.mark.parametrize("small", [0, 1 << 20])
def test_large_files_have_the_same_and_are_read_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    expected = stored(tmp_path).digest()
    monkeypatch.setattr(arrays, "_SMALL", small)
    run = RunStore(tmp_path).get("a1")
    assert run.digest() == expected
    assert run.confusion is not None
    assert np.array_equal(run.confusion.matrices, confusion().matrices)
    assert run.latency is not None
    assert run.stream is None


def test_what_is_no_file_is_refused_in_words(tmp_path: Path) -> None:
    run = stored(tmp_path)
    (run.path / "latency.npz").unlink()
    (run.path / "latency.npz").mkdir()
    with pytest.raises(DataError, match=r"latency\.npz does not read: .* is a folder"):
        run.digest()
