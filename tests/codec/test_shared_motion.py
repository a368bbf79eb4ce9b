"""Motion that is read of a stream once: the same to the bit from the cache, read anew where it is
damaged, bounded with the streams."""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.sweep.stored import write
from vssbench.cli import bench
from vssbench.codec import apart
from vssbench.codec import cache as caches
from vssbench.codec.cache import MOTION_SUFFIX
from vssbench.codec.encoded import EncodedCodec
from vssbench.codec.formats.h264 import H264
from vssbench.codec.vectors.estimated import EstimatedVectors
from vssbench.codec.vectors.h264 import H264Vectors
from vssbench.codec.vectors.kept import FRAMES, KeptVectors, VectorWriter
from vssbench.codec.vectors.proof import pan
from vssbench.codec.vectors.reader import BlockVectors, no_vectors
from vssbench.core import locks, registry
from vssbench.core.errors import DataError
from vssbench.core.variant import parse_variant
from vssbench.core.video import Clip, Frame
from vssbench.report import index as indexing
from vssbench.report.rows import stored_rows
from vssbench.run.store import RunStore

SIZE = (48, 80)
#: more than a part of a file, and not whole GOPs
LENGTH = FRAMES + 5


def clip_of(length: int = LENGTH) -> Clip:
    """A pan whose motion is of every fraction."""
    images = [np.ascontiguousarray(image) for image in pan(length, *SIZE, (1.3, -0.7))]
    return Clip("pan", length, *SIZE, 25.0, images.__getitem__, lambda index: None, f"pan {length}")


@pytest.fixture
def clip() -> Clip:
    return clip_of()


@pytest.fixture
def dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """H.264's vectors are kept, which are quick to read."""
    monkeypatch.setattr(H264Vectors, "dear", True)


def entries(cache: Path) -> list[Path]:
    return sorted(cache.glob(f"*{MOTION_SUFFIX}"))


def content(frame: Frame) -> list[object]:
    """All of a frame that its motion may change, as bytes."""
    motion = frame.motion
    assert motion is not None
    arrays = [frame.image, motion.grid]
    if motion.blocks is not None and motion.step is not None:
        arrays += [motion.blocks.vectors, motion.blocks.references]
        arrays += [motion.step.vectors, motion.step.references]
    if frame.residual is not None:
        arrays.append(frame.residual)
    past = None if motion.blocks is None else motion.blocks.past
    plain = [frame.index, frame.distance, frame.bits, frame.psnr_db, motion.intra_share, past]
    return [*plain, *((array.dtype.str, array.shape, array.tobytes()) for array in arrays)]


def read(codec: EncodedCodec, clip: Clip, cache: Path, residual: bool = True) -> list[list[object]]:
    return [content(frame) for frame in codec.untimed_frames(clip, cache, residual=residual)]


@pytest.mark.parametrize(
    "variant",
    [
        "h264[gop=9,bframes=2,bitrate=60k]",
        "hevc[gop=9,bframes=3,refs=3,bitrate=60k]",
        "h264[gop=9,bitrate=60k,motion=estimated]",
        "h264[gop=1]",
    ],
)
def test_kept_motion_is_that_which_is_read_anew(
    variant: str, clip: Clip, tmp_path: Path, dear: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = registry.create("codecs", parse_variant(variant))
    anew = [content(frame) for frame in codec.frames(clip, tmp_path, residual=True)]
    assert entries(tmp_path) == []  # a timed run keeps nothing
    assert read(codec, clip, tmp_path) == anew
    assert len(entries(tmp_path)) == 1
    reader = codec._motion_source(False).reader
    monkeypatch.setattr(reader, "__init__", refused)
    assert read(codec, clip, tmp_path) == anew
    assert read(codec, clip, tmp_path, residual=False) == [
        content(frame) for frame in codec.untimed_frames(clip, tmp_path)
    ]
    with pytest.raises(AssertionError, match="read anew"):
        list(codec.frames(clip, tmp_path))  # what is timed is always read


def refused(*given: object) -> None:
    raise AssertionError("read anew")


def test_other_streams_and_other_settings_are_other_motion(
    clip: Clip, tmp_path: Path, dear: None
) -> None:
    for codec in (H264(gop=9), H264(gop=9, fill="zero", whole_pixels=True), H264(gop=9, cell=4)):
        anew = [content(frame) for frame in codec.frames(clip, tmp_path, residual=True)]
        assert read(codec, clip, tmp_path) == anew
    assert len(entries(tmp_path)) == 2  # the fill is no part of what is kept
    list(H264(gop=9).untimed_frames(clip_of(9), tmp_path))
    assert len(entries(tmp_path)) == 3


@pytest.mark.parametrize("damage", ["changed", "cut short", "empty"])
def test_a_damaged_entry_is_read_anew(
    damage: str, clip: Clip, tmp_path: Path, dear: None, caplog: pytest.LogCaptureFixture
) -> None:
    codec = H264(gop=9, bitrate="60k")
    anew = read(codec, clip, tmp_path)
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    at = len(whole) // 2
    hurt = {"changed": whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], "empty": b""}
    entry.write_bytes(hurt.get(damage, whole[:at]))
    with caplog.at_level(logging.WARNING):
        assert read(codec, clip, tmp_path) == anew
    assert "is not as it was written" in caplog.text
    assert [path.read_bytes() for path in entries(tmp_path)] == [whole]


def test_the_limit_bounds_motion_with_the_streams(clip: Clip, tmp_path: Path, dear: None) -> None:
    codec, cache = H264(gop=9), tmp_path / ".cache"
    read(codec, clip, cache)
    (entry,) = entries(cache)
    (stream,) = cache.glob("*.mkv")
    os.utime(stream, (2, 2))
    os.utime(entry, (1, 1))
    words = ["--runs", str(tmp_path)]
    said = CliRunner().invoke(bench, ["cache", "info", *words]).stdout
    assert "1 stream, motion of 1, " in said
    frames = codec.untimed_frames(clip, cache)
    next(frames)
    assert caches.clear(cache) == (0, 2)  # both are in use
    frames.close()
    os.utime(entry, (1, 1))
    assert caches.set_limit(cache, 10) > 0
    assert caches.kept(cache) == []


def test_the_limit_holds_after_motion_was_kept(clip: Clip, tmp_path: Path, dear: None) -> None:
    codec = H264(gop=9)
    list(codec.frames(clip, tmp_path))
    (stream,) = caches.kept(tmp_path)
    caches.set_limit(tmp_path, stream.size + 1)
    read(codec, clip, tmp_path)
    assert [entry.is_motion for entry in caches.kept(tmp_path)] == [False]


def test_many_readers_at_once_agree_and_one_keeps_it(
    clip: Clip, tmp_path: Path, dear: None
) -> None:
    codec, found = H264(gop=9), []
    anew = [content(frame) for frame in codec.frames(clip, tmp_path, residual=True)]
    first = codec.untimed_frames(clip, tmp_path, residual=True)
    begun = [content(next(first))]
    threads = [
        threading.Thread(target=lambda: found.append(read(codec, clip, tmp_path))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entries(tmp_path) == []  # the one that keeps it is not at its end
    assert [*begun, *map(content, first)] == anew
    assert found == [anew] * 3
    assert len(entries(tmp_path)) == 1
    # whoever leaves early keeps nothing, and leaves nothing behind
    entries(tmp_path)[0].unlink()
    left = codec.untimed_frames(clip, tmp_path)
    next(left)
    left.close()
    assert entries(tmp_path) == []
    assert not list(tmp_path.glob(".vssbench*"))


def test_a_cache_that_cannot_be_written_keeps_nothing_and_harms_nothing(
    clip: Clip, tmp_path: Path, dear: None, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    codec = H264(gop=9)
    anew = [content(frame) for frame in codec.frames(clip, tmp_path, residual=True)]
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(VectorWriter, "_flush", full)
        assert read(codec, clip, tmp_path) == anew
    assert "the motion of a stream is not kept in " in caplog.text
    assert "No space left on device" in caplog.text
    assert entries(tmp_path) == []
    assert not list(tmp_path.glob(".vssbench*"))
    assert read(codec, clip, tmp_path) == anew
    assert len(entries(tmp_path)) == 1


def test_a_codec_that_changes_the_frames_is_asked_for_them(clip: Clip, tmp_path: Path) -> None:
    class Changed(H264):
        def frames(
            self, clip: Clip, cache: Path | None = None, motion: bool = True, residual: bool = False
        ) -> Iterator[Frame]:
            yield from list(super().frames(clip, cache, motion, residual))[:2]

    assert len(list(Changed(gop=9, motion="estimated").untimed_frames(clip, tmp_path))) == 2
    assert EstimatedVectors.dear
    assert entries(tmp_path) == []


def blocks(vectors: np.ndarray, past: int = 0) -> BlockVectors:
    return BlockVectors(vectors, np.zeros(vectors.shape[:3], np.int32), past)


@pytest.mark.parametrize(
    "values",
    [[0.25, -7.75], [0.125, 3.0], [8191.75, 0.25], [9000.0, 1.0], [0.1, 1e30], [-0.0, 0.5]],
)
def test_vectors_of_any_value_come_back_to_the_bit(values: list[float], tmp_path: Path) -> None:
    given = np.tile(np.array(values, np.float32), (2, 2, 3, 1))
    writer = VectorWriter(tmp_path / "v.npz")
    for each in (None, blocks(given), blocks(given[:1])):
        writer.add(each)
    writer.finish()
    reader = KeptVectors(tmp_path / "v.npz", 16, 24, 8)
    got = [next(reader.picture(index, None, None))[1] for index in range(3)]  # type: ignore[arg-type]
    assert got[0].references.tobytes() == no_vectors(16, 24, 8).references.tobytes()
    assert got[1].vectors.tobytes() == given.tobytes()
    assert got[2].vectors.tobytes() == given[:1].tobytes()
    assert [each.past for each in got[1:]] == [0, 0]
    reader.close()


def test_a_file_of_other_content_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "v.npz"
    writer = VectorWriter(path)
    writer.add(blocks(np.zeros((1, 2, 3, 2), np.float32)))
    writer.finish()
    for height, index in ((24, 0), (16, 1), (16, FRAMES)):
        reader = KeptVectors(path, height, 24, 8)
        list(reader.picture(0, None, None)) if index == 1 else None  # type: ignore[arg-type]
        with pytest.raises(DataError, match=r"is not as it was written: .*cache clear"):
            list(reader.picture(index, None, None))  # type: ignore[arg-type]
        reader.close()
    path.write_bytes(b"no archive")
    with pytest.raises(DataError, match="is not as it was written"):
        KeptVectors(path, 16, 24, 8)


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
@pytest.mark.usefixtures("dear")
def test_a_store_is_for_all_whom_the_umask_lets_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    """Runs, index, streams, motion, locks and claims: a second user of a shared store reads them,
    and writes where the umask lets a group write."""
    monkeypatch.setattr(indexing, "WORTH", 0)
    apart.waiting.end()  # encoders that were started under another umask
    before, root = os.umask(umask), tmp_path / "runs"
    try:
        write(root, "r0")
        write(root, "r1")
        list(H264(gop=9, preset="ultrafast").untimed_frames(clip_of(3), root / ".cache"))
        caches.set_limit(root / ".cache", 10**9)
        stored_rows(RunStore(root))
        with locks.lock(root / "claims" / "locks", "r0"):
            pass
    finally:
        os.umask(before)
    made = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.lstat().st_mode)
        for path in [root, *root.rglob("*")]
    }
    kinds = {Path(name).suffix for name in made if "/.cache/" in name}
    assert {MOTION_SUFFIX, ".mkv"} <= kinds
    assert "runs/.index.json" in made
    assert "runs/.cache/locks" in made
    wrong = {
        name: oct(mode) for name, mode in made.items()
        if mode != (0o777 if (tmp_path / name).is_dir() else 0o666) & ~umask
    }  # fmt: skip
    assert wrong == {}
