"""Folded confusion matrices: the same matrices again, less to store, and no others."""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.run.archives import archived, small_store
from vssbench.core.bounds import ARRAYS
from vssbench.core.errors import DataError
from vssbench.run.archive import files_of, unpacked, write_archive
from vssbench.run.folded import fold, unfold
from vssbench.run.store import RunStore

pytestmark = pytest.mark.timeout(60)


def matrices(frames: int, classes: int, most: int, seed: int = 0) -> np.ndarray:
    """Return matrices of counts up to ``most``, many of them 0, as those of frames are."""
    draw = np.random.default_rng(seed)
    values = draw.integers(0, most, (frames, classes, classes), endpoint=True)
    return np.where(draw.random(values.shape) < 0.5, 0, values)


@pytest.mark.parametrize(
    ("frames", "classes", "most", "bytes_each"),
    [(1, 1, 0, 1), (1, 1, 255, 1), (5, 2, 1000, 2), (7, 11, 60_000, 3), (3, 12, 9_000_000, 4)],
)
def test_folded_matrices_are_the_same_again(
    frames: int, classes: int, most: int, bytes_each: int
) -> None:
    whole = matrices(frames, classes, most)
    whole[0, -1, -1] = most
    folded = fold(whole)
    assert folded is not None
    assert folded.shape == (bytes_each, classes**2, frames)
    again = unfold(folded)
    assert again.dtype == np.int64
    assert np.array_equal(again, whole)


@pytest.mark.parametrize(
    "other",
    [
        np.zeros((0, 3, 3), np.int64),
        np.zeros((2, 3, 3), np.int32),
        np.zeros((2, 3, 4), np.int64),
        np.zeros((3, 3), np.int64),
        np.full((1, 2, 2), -1),
        np.full((1, 2, 2), 1 << 31),
        np.full((1, 2, 2), 1 << 62),
    ],
    ids=["empty", "int32", "oblong", "one", "negative", "large sums", "large"],
)
def test_what_is_no_matrices_of_counts_is_not_folded(other: np.ndarray) -> None:
    assert fold(other) is None


@pytest.mark.parametrize(
    "other",
    [
        np.zeros((1, 4), np.uint8),
        np.zeros((1, 4, 0), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 4, 3), np.int64),
        np.zeros((1, 5, 3), np.uint8),
        np.zeros((5, 4, 3), np.uint8),
        np.ones((1, 4, 3), np.uint8) * np.array([[[0], [0], [1], [1]]], np.uint8),
    ],
    ids=["flat", "no frames", "no bytes", "int64", "no square", "five bytes", "rows too long"],
)
def test_what_no_matrices_were_folded_into_is_refused(other: np.ndarray) -> None:
    with pytest.raises(DataError, match="no folded matrices"):
        unfold(other)


def test_matrices_that_are_too_large_are_refused_before_they_are_made() -> None:
    frames = ARRAYS.most // 8 + 1
    many = np.broadcast_to(np.zeros((1, 1, 1), np.uint8), (1, 1, frames))
    with pytest.raises(DataError, match="its matrices"):
        unfold(many)


def test_a_file_in_which_nothing_is_folded_reads_as_it_is(tmp_path: Path) -> None:
    store = small_store(tmp_path / "runs")
    plain = tmp_path / "plain.tar.xz"
    with tarfile.open(plain, "w:xz", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(store.root.glob("*/*")):
            archive.add(path, f"{path.parent.name}/{path.name}")
    with unpacked(plain) as folder:
        for run in RunStore(folder).runs():
            its = store.get(run.measurement.run_id).confusion
            assert (run.confusion is None) == (its is None)
            if its is not None and run.confusion is not None:
                assert np.array_equal(run.confusion.matrices, its.matrices)


def test_arrays_that_vanish_before_they_are_written_are_named(tmp_path: Path) -> None:
    store = small_store(tmp_path / "runs")
    run = store.get("run1")
    listed = files_of(run)
    (run.path / "confusion.npz").unlink()
    with pytest.raises(DataError, match=r"run1/confusion\.npz is missing"):
        write_archive([(run, listed)], tmp_path / "gone.tar.xz")
    assert not (tmp_path / "gone.tar.xz").exists()


def test_matrices_that_do_not_unfold_damage_their_run_alone(tmp_path: Path) -> None:
    store = small_store(tmp_path / "runs")
    damaged = tmp_path / "damaged.tar.xz"
    with (
        tarfile.open(fileobj=io.BytesIO(lzma.decompress(archived(store).read_bytes()))) as whole,
        tarfile.open(damaged, "w:xz") as changed,
    ):
        for entry in whole:
            content = whole.extractfile(entry).read()  # type: ignore[union-attr]
            if entry.name == "run1/confusion.npz":
                content = _with_rows_too_long(content)
                entry.size = len(content)
            changed.addfile(entry, io.BytesIO(content))
    with unpacked(damaged) as folder:
        there = RunStore(folder)
        with pytest.raises(DataError, match=r"run1/confusion\.npz does not read: .*matrices"):
            assert there.get("run1").confusion
        assert there.get("run2").confusion is not None


def _with_rows_too_long(content: bytes) -> bytes:
    """Return a run's arrays with folded matrices of which no pixel is labelled."""
    changed = io.BytesIO()
    with np.load(io.BytesIO(content)) as arrays:
        assert "matrices" not in arrays.files
        cells = arrays["folded"]
        cells[:, : int(cells.shape[1] ** 0.5)] = 0
        cells[0, -1] = 1
        np.savez(changed, **{name: arrays[name] for name in arrays.files} | {"folded": cells})
    assert zipfile.is_zipfile(changed)
    return changed.getvalue()
