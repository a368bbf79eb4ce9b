"""Arrays of .npz files are read within bounds, and none is kept before all are known to fit."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from vssbench.core.arrays import Header, read_arrays
from vssbench.core.errors import DataError


def fits(found: Mapping[str, Header]) -> None:
    assert found


@pytest.mark.parametrize("length", [0, 1, 16_255, 16_256, 16_257, 400_000])
def test_arrays_are_read_whole_whatever_their_length(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.npz"
    written = {"bytes": np.arange(length, dtype=np.uint8), "other": np.eye(3).T[:, ::-1]}
    np.savez_compressed(path, **written)
    found = read_arrays(path, fits)
    assert found is not None
    assert found.keys() == written.keys()
    for name, values in written.items():
        assert found[name].dtype == values.dtype
        assert np.array_equal(found[name], values)
        assert found[name].flags.writeable


@pytest.mark.parametrize("length", [100, 100_000])
def test_a_flipped_bit_is_seen_in_small_and_in_large_arrays(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, values=np.zeros(length, np.uint8))
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="CRC"):
        read_arrays(path, fits)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("mask", [0x01, 0xFF])
def test_no_damaged_byte_of_a_small_file_gives_other_arrays(
    tmp_path: Path, write: Callable[..., None], mask: int
) -> None:
    path = tmp_path / "x.npz"
    written = {"counts": np.arange(6).reshape(2, 3), "times": np.linspace(0, 1, 3)}
    write(path, **written)
    content, refused = path.read_bytes(), 0
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= mask
        path.write_bytes(damaged)
        try:
            found = read_arrays(path, fits)
        except DataError:
            refused += 1
        else:
            assert found is not None
            known = {name: values for name, values in found.items() if name in written}
            assert all(np.array_equal(values, written[name]) for name, values in known.items())
    assert refused > len(content) // 2


@pytest.mark.parametrize("size", [10, 60, 200, 300])
def test_a_small_file_that_is_cut_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, values=np.arange(100))
    end = path.read_bytes()[-22:]
    path.write_bytes(path.read_bytes()[:size] + end)
    with pytest.raises(DataError):
        read_arrays(path, fits)


def test_a_header_that_is_too_long_is_said(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.zeros(1, [("a" * 17_000, "f8")]))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", file.getvalue())
    with pytest.raises(DataError, match=r"x\.npy has a header of 17\d+ bytes: expected at most"):
        read_arrays(tmp_path / "x.npz", fits)


def test_arrays_that_do_not_fit_take_no_memory(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.save(file, np.zeros(16_000, np.uint8))
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(1000):
            archive.writestr(f"x{number}.npy", file.getvalue())

    def refuse(found: Mapping[str, Header]) -> None:
        raise DataError(f"{len(found)} arrays that nobody knows")

    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="1000 arrays"):
            read_arrays(tmp_path / "x.npz", refuse)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
