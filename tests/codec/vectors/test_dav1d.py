"""AV1's vectors from the memory of dav1d: right on known pans and the real clip, equal in every
run, refused when in doubt."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.encode import EncoderSettings, encode
from vssbench.codec.formats.av1 import Av1
from vssbench.codec.motion import MotionSettings
from vssbench.codec.prediction import moved
from vssbench.codec.vectors import dav1d, memory, proof
from vssbench.codec.vectors.dav1d import Dav1dVectors
from vssbench.core.errors import MotionUnavailable
from vssbench.core.motion import NONE, dense
from vssbench.core.video import Clip, Frame

Pan = Callable[..., Clip]
MOTIONS = [(3, 2), (2.25, -1.5), (13, -9)]
CODEC = Av1(gop=8, crf=12)


@pytest.fixture(autouse=True)
def needed(provable: Callable[[str], None]) -> None:
    """These tests need the encoder and the decoder."""
    provable("av1")


def stream_of(clip: Clip, settings: EncoderSettings) -> bytes:
    stream = io.BytesIO()
    encode(clip.images(), stream, settings, clip.fps)
    return stream.getvalue()


def frames_of(clip: Clip, stream: bytes, gop: int | None = 8, cell: int = 8) -> Iterator[Frame]:
    source = MotionSource(Dav1dVectors, MotionSettings(cell))
    return decode(io.BytesIO(stream), gop, source, clip.length, (clip.height, clip.width))


@pytest.mark.parametrize("preset", ["medium", "fast"])
@pytest.mark.parametrize("size", [(96, 128), (97, 131), (130, 258), (128, 384)], ids=str)
@pytest.mark.parametrize("motion", MOTIONS, ids=str)
def test_vectors_of_a_pan(
    pan: Pan, motion: tuple[float, float], size: tuple[int, int], preset: str
) -> None:
    """Judged where the reference shows the whole cell; every vector by its own reference."""
    clip = pan(*size, 8, motion)
    right, count, inter = 0, 0, 0
    for frame in frames_of(clip, stream_of(clip, Av1(gop=8, crf=12, preset=preset).encoder())):
        assert frame.motion is not None
        blocks = frame.motion.blocks
        if blocks is None:
            assert frame.index == 0
            continue
        assert blocks.past == frame.index - 1
        for row, column in np.ndindex(blocks.references[0].shape):
            back = frame.index - blocks.references[0][row, column]
            truth = np.array(motion) * (back if back <= frame.index else 1)
            left, top = column * 8 + truth[0], row * 8 + truth[1]
            if min(left, top) < 0 or left + 8 > size[1] or top + 8 > size[0]:
                continue
            count += 1
            if back <= frame.index:
                inter += 1
                right += np.abs(blocks.vectors[0][row, column] - truth).max() <= 0.25
    assert right >= 0.95 * inter
    assert inter >= 0.9 * count


def test_cells_of_four_pixels_repeat_those_of_eight(pan: Pan) -> None:
    clip = pan(97, 131, 4, (3, 2))
    stream = stream_of(clip, CODEC.encoder())
    for coarse, fine in zip(frames_of(clip, stream), frames_of(clip, stream, cell=4), strict=True):
        if (
            coarse.motion is None
            or coarse.motion.blocks is None
            or fine.motion is None
            or fine.motion.blocks is None
        ):
            assert coarse.index == 0
            continue
        assert fine.motion.blocks.references.shape == (1, 25, 33)
        for row, column in np.ndindex(25, 33):
            for ours, theirs in (
                (fine.motion.blocks.references, coarse.motion.blocks.references),
                (fine.motion.blocks.vectors, coarse.motion.blocks.vectors),
            ):
                assert np.array_equal(ours[0, row, column], theirs[0, row // 2, column // 2])


def test_ten_runs_give_the_same_vectors(pan: Pan) -> None:
    clip = pan(96, 128, 8, (13, -9), cut=5)
    stream = stream_of(clip, CODEC.encoder())
    runs = set()
    for _ in range(10):
        blocks = [
            frame.motion.blocks
            for frame in frames_of(clip, stream)
            if frame.motion and frame.motion.blocks
        ]
        assert len(blocks) == 7
        runs.add(b"".join(part.vectors.tobytes() + part.references.tobytes() for part in blocks))
    assert len(runs) == 1


def test_two_streams_read_in_turn_do_not_mix(pan: Pan) -> None:
    clips = [pan(96, 128, 6, motion) for motion in ((3, 2), (-2, 1))]
    streams = [stream_of(clip, CODEC.encoder()) for clip in clips]
    alone = [list(frames_of(clip, stream)) for clip, stream in zip(clips, streams, strict=True)]
    turns = zip(
        *(frames_of(clip, stream) for clip, stream in zip(clips, streams, strict=True)), strict=True
    )
    for index, pair in enumerate(turns):
        for frame, frames in zip(pair, alone, strict=True):
            assert frame.motion is not None
            assert np.array_equal(frame.motion.grid, frames[index].motion.grid)  # type: ignore[union-attr]


def test_without_motion_no_cell_of_a_new_scene_is_made_up(pan: Pan) -> None:
    clip = pan(96, 128, 4, (0, 0), cut=2)
    shares = [
        frame.motion.intra_share
        for frame in frames_of(clip, stream_of(clip, CODEC.encoder()))
        if frame.motion
    ]
    assert shares[1] <= 0.01
    assert shares[2] >= 0.5
    assert shares[3] <= 0.05


def test_one_step_of_the_real_clip(real_clip: Clip) -> None:
    """Moved by each cell's own vector from its own reference, every P-frame is nearer than its
    neighbour left as it is."""
    clip = replace(real_clip, length=24, fingerprint="24 frames")
    codec = Av1(gop=12, bitrate="1M")
    images, steps, stills, beyond = {}, [], [], 0
    for frame in frames_of(clip, stream_of(clip, codec.encoder()), gop=12):
        images[frame.index] = frame.image
        assert frame.motion is not None
        blocks = frame.motion.blocks
        if blocks is None:
            continue
        references = blocks.references[0]
        error = np.full(frame.image.shape[:2], np.nan)
        for name in np.unique(references[references != NONE]):
            there = dense(references == name, 8, clip.height, clip.width)
            error[there] = np.abs(
                moved(images[int(name)], blocks.vectors[0], 8) - frame.image
            ).mean(-1)[there]
            beyond += int(name) < frame.index - 1
        covered = ~np.isnan(error)
        steps.append(error[covered].mean())
        stills.append(
            np.abs(images[frame.index - 1].astype(float) - frame.image).mean(-1)[covered].mean()
        )
        assert steps[-1] < 0.6 * stills[-1]
        assert covered.mean() > 0.8
    assert np.mean(steps) < 0.34 * np.mean(stills)
    # the reader is not put to the test unless frames refer beyond their neighbours
    assert beyond > 0


def fresh_proof(monkeypatch: pytest.MonkeyPatch) -> proof.Proof:
    monkeypatch.setattr(proof, "_proofs", {})
    return proof.prove(Av1())


def test_the_self_test_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = fresh_proof(monkeypatch)
    assert found.reason == ""
    assert found.right > 0.95
    assert found.covered > 0.95


def swapped(original: Any) -> Any:
    def array(address: int, shape: tuple[int, ...], dtype: Any) -> Any:
        found = original(address, shape, dtype).copy()
        found["x"], found["y"] = found["y"].copy(), found["x"].copy()
        return found

    return array


def filled(y: int, x: int, reference: int) -> Any:
    return lambda address, shape, dtype: np.full(shape, np.array((y, x, reference), dtype))


NOWHERE = "nothing there is laid out as expected"
SABOTAGE = {
    "x and y swapped": (memory, "array", swapped(memory.array), "of these are right"),
    "quarters taken for eighths": (dav1d, "_UNITS_PER_PIXEL", 4, "of these are right"),
    "zeros": (memory, "array", filled(0, 0, 1), "0% of these are right"),
    "no vectors": (memory, "array", filled(0, 0, 0), "0% of the cells have a vector"),
    "names that there are not": (memory, "array", filled(0, 0, 255), "names a reference 255"),
    "vectors too long": (
        memory,
        "array",
        filled(5000, 0, 1),
        "vectors beyond those that AV1 keeps",
    ),
    "another size of buffer": (dav1d, "_stored_shape", lambda picture: (3, 5), NOWHERE),
    "another format": (dav1d, "_FORMAT", np.uint64(10 << 32 | 1), NOWHERE),
    "the state not found": (dav1d, "_WRAPPER_WORDS", 1, NOWHERE),
    "the picture's address not found": (dav1d, "_PICTURE_HEAD", 2, NOWHERE),
    "no memory": (memory, "private_data", lambda context: 8, NOWHERE),
}


@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_the_self_test_refuses_a_reader_that_goes_wrong(
    monkeypatch: pytest.MonkeyPatch, sabotage: str
) -> None:
    where, what, value, words = SABOTAGE[sabotage]
    monkeypatch.setattr(where, what, value)
    assert words in fresh_proof(monkeypatch).reason


def test_a_decoder_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "dav1d" in Dav1dVectors.check()
    monkeypatch.setattr(Dav1dVectors, "decoder", "absent")
    with pytest.raises(MotionUnavailable, match="which this build of PyAV"):
        Dav1dVectors.check()


def test_slots_that_hold_other_pictures_than_they_should_are_found_out(
    pan: Pan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stale memory looks as it should but for the addresses of the pictures."""
    clip = pan(96, 128, 6, (3, 2))
    stream = stream_of(clip, CODEC.encoder())
    frames = frames_of(clip, stream)
    next(frames)
    next(frames)
    original = memory.words
    kept: dict[tuple[int, int], Any] = {}

    def stale(address: int, count: int) -> Any:
        return kept.setdefault((address, count), original(address, count))

    monkeypatch.setattr(memory, "words", stale)
    with pytest.raises(MotionUnavailable, match="does not hold the picture that it should"):
        list(frames)


def hidden_stream(clip: Clip) -> bytes:
    """A stream of random access: pictures are coded before they are shown, and refer to later
    ones."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="matroska") as container:
        options = {
            "preset": "8",
            "svtav1-params": "keyint=16:irefresh-type=2:lp=1:hierarchical-levels=3",
        }
        video = container.add_stream("libsvtav1", rate=Fraction(30), options=options)
        video.width, video.height, video.pix_fmt = clip.width, clip.height, "yuv420p"
        for image in clip.images():
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(video.encode())
    return stream.getvalue()


def test_a_stream_with_hidden_pictures_is_right_or_refused(pan: Pan) -> None:
    motion = (3, 2)
    clip = pan(96, 128, 16, motion)
    frames: list[Frame] = []
    with pytest.raises(MotionUnavailable, match="use motion=estimated"):
        frames.extend(frames_of(clip, hidden_stream(clip), gop=None))
    assert len(frames) < clip.length
    for frame in frames:
        blocks = frame.motion.blocks if frame.motion else None
        if blocks is not None:
            there = blocks.references[0] != NONE
            truth = np.multiply.outer(frame.index - blocks.references[0][there], motion)
            assert np.mean(np.abs(blocks.vectors[0][there] - truth).max(-1) <= 0.5) >= 0.9
