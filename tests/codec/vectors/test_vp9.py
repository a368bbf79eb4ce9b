"""Vectors of VP9 against pans; its headers against what FFmpeg makes of real streams; what is
refused."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator

import av
import numpy as np
import pytest

from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.encode import EncoderSettings, encode
from vssbench.codec.formats.vp9 import Vp9
from vssbench.codec.motion import MotionSettings
from vssbench.codec.prediction import predict
from vssbench.codec.vectors import memory, proof, vp9
from vssbench.codec.vectors.reader import BlockVectors
from vssbench.codec.vectors.vp9 import RECORD, Vp9Vectors, check, find, resolve
from vssbench.codec.vectors.vp9_headers import HIDDEN, Stream, parse, split
from vssbench.core.errors import DataError, MotionUnavailable
from vssbench.core.motion import NONE
from vssbench.core.video import Clip, Frame

Pan = Callable[..., Clip]

needs_memory = pytest.mark.skipif(
    not os.path.exists("/proc/self/mem"), reason="this system has no /proc/self/mem"
)


def encoded(
    clip: Clip, gop: int, settings: EncoderSettings | None = None, preset: str = "fast"
) -> io.BytesIO:
    stream = io.BytesIO()
    encode(clip.images(), stream, settings or Vp9(gop=gop, preset=preset).encoder(), clip.fps)
    stream.seek(0)
    return stream


#: with these libvpx codes a hidden picture ahead of time, and predicts others from it
HIDING = EncoderSettings(
    "libvpx-vp9",
    30,
    0,
    1_000_000,
    {
        "keyint_min": "30",
        "auto-alt-ref": "1",
        "lag-in-frames": "25",
        "deadline": "realtime",
        "cpu-used": "5",
        "threads": "1",
    },
)


def frames_of(stream: io.BytesIO, clip: Clip, gop: int, cell: int = 8) -> Iterator[Frame]:
    source = MotionSource(Vp9Vectors, MotionSettings(cell))
    return decode(
        io.BytesIO(stream.getvalue()), gop, source, clip.length, (clip.height, clip.width)
    )


@pytest.mark.parametrize("hiding", [False, True])
def test_headers_agree_with_the_decoder(pan: Pan, hiding: bool) -> None:
    """One header a packet (two where a picture is hidden), and keyframes where FFmpeg sees them."""
    packets, hidden, follower = 0, 0, Stream()
    stream = encoded(
        pan(96, 128, 30, (2.25, -1.5)), 30 if hiding else 10, HIDING if hiding else None
    )
    with av.open(stream, "r") as container:
        for packet in container.demux(video=0):
            pictures = packet.decode()
            showings = follower.packet(bytes(packet)) if packet.size else []
            hidden += (
                sum(not parse(frame).shown for frame in split(bytes(packet))) if packet.size else 0
            )
            packets += bool(packet.size)
            assert [showing.picture.key for showing in showings] == [
                bool(picture.key_frame) for picture in pictures
            ]
            assert [bool(showing.picture.references) for showing in showings] == [
                int(p.pict_type) == 2 for p in pictures
            ]
    assert packets == 30
    assert (hidden > 0) == hiding


def right_share(frames: list[Frame], motion: tuple[float, float]) -> tuple[float, float, float]:
    """Shares of vectors within a quarter pixel of the truth, of cells that have one, and of
    references further back.

    Only cells count that lie inside the image and whose true source lies inside its reference:
    elsewhere there is no truth.
    """
    right: list[bool] = []
    further, cells = 0, 0
    for frame in frames:
        assert frame.motion is not None
        blocks = frame.motion.blocks
        assert (blocks is None) == (frame.distance == 0)
        if blocks is None:
            continue
        height, width = frame.image.shape[:2]
        assert not blocks.vectors[blocks.references == NONE].any()
        for row, column in np.ndindex(height // 8, width // 8):
            for vector, reference in zip(
                blocks.vectors[:, row, column], blocks.references[:, row, column], strict=True
            ):
                x, y = (
                    frame.index - (reference if reference != NONE else frame.index - 1)
                ) * np.array(motion)
                if not (0 <= 8 * column + x <= width - 8 and 0 <= 8 * row + y <= height - 8):
                    continue
                cells += 1
                if reference != NONE:
                    right.append(abs(vector[0] - x) <= 0.25 and abs(vector[1] - y) <= 0.25)
                    further += reference != frame.index - 1
    return float(np.mean(right)), len(right) / cells, further / len(right)


@needs_memory
@pytest.mark.parametrize(("height", "width"), [(96, 128), (97, 131)])
@pytest.mark.parametrize("motion", [(3, 2), (2.25, -1.5), (13, -9)])
@pytest.mark.parametrize("preset", ["fast", "medium"])
def test_vectors_of_a_pan(
    pan: Pan, motion: tuple[float, float], height: int, width: int, preset: str
) -> None:
    clip = pan(height, width, 13, motion)
    frames = list(frames_of(encoded(clip, 6, preset=preset), clip, 6))
    right, covered, _ = right_share(frames, motion)
    assert right >= 0.95
    assert covered >= 0.95


@needs_memory
def test_references_further_back_are_resolved(pan: Pan) -> None:
    """Two frames' motion is a whole number of pixels: libvpx likes the picture before the last
    where it has it."""
    motion = (2.5, 1.5)
    clip = pan(96, 128, 13, motion)
    right, _, further = right_share(
        list(frames_of(encoded(clip, 13, preset="medium"), clip, 13)), motion
    )
    assert right >= 0.95
    assert further >= 0.3


@needs_memory
def test_one_step_predicts_better_than_no_motion(pan: Pan) -> None:
    clip = pan(96, 128, 12, (3, 2))
    images = {}
    predicted, still = [], []
    for frame in frames_of(encoded(clip, 12), clip, 12):
        images[frame.index] = frame.image.astype(np.float32)
        assert frame.motion is not None
        if frame.motion.step is None:
            continue
        shown = {index: image.astype(np.uint8) for index, image in images.items()}
        predicted.append(np.abs(predict(frame.motion.step, shown, 8) - frame.image).mean())
        still.append(np.abs(images[frame.index - 1] - frame.image).mean())
    assert np.mean(predicted) < 0.3 * np.mean(still)


@needs_memory
@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 128), (97, 131), (8, 8), (2, 70)])
def test_finer_cells_repeat_the_blocks(pan: Pan, height: int, width: int) -> None:
    clip = pan(height, width, 4, (2, 1))
    stream = encoded(clip, 4)
    for coarse, fine in zip(
        frames_of(stream, clip, 4), frames_of(stream, clip, 4, cell=4), strict=True
    ):
        assert coarse.motion is not None
        assert fine.motion is not None
        if coarse.distance == 0:
            continue
        ours, theirs = coarse.motion.blocks, fine.motion.blocks
        assert ours is not None
        assert theirs is not None
        rows, columns = -(-height // 4), -(-width // 4)
        assert ours.references.shape[1:] == (-(-height // 8), -(-width // 8))
        assert theirs.references.shape[1:] == (rows, columns)
        for row in range(rows):
            for column in range(columns):
                np.testing.assert_array_equal(
                    theirs.vectors[:, row, column], ours.vectors[:, row // 2, column // 2]
                )
                np.testing.assert_array_equal(
                    theirs.references[:, row, column], ours.references[:, row // 2, column // 2]
                )
        assert theirs.past == ours.past == coarse.index - 1


@needs_memory
def test_ten_passes_are_equal(pan: Pan) -> None:
    clip = pan(97, 131, 7, (2.25, -1.5))
    stream = encoded(clip, 7)

    def once() -> list[BlockVectors]:
        return [
            frame.motion.blocks
            for frame in frames_of(stream, clip, 7)
            if frame.motion and frame.motion.blocks
        ]

    first = once()
    assert len(first) == 6
    for _ in range(9):
        for ours, theirs in zip(first, once(), strict=True):
            np.testing.assert_array_equal(ours.vectors, theirs.vectors)
            np.testing.assert_array_equal(ours.references, theirs.references)


@needs_memory
def test_two_streams_at_once_do_not_mix(pan: Pan) -> None:
    clips = [pan(96, 128, 6, motion) for motion in ((3, 2), (-2, 4))]
    alone = [list(frames_of(encoded(clip, 6), clip, 6)) for clip in clips]
    together = zip(*(frames_of(encoded(clip, 6), clip, 6) for clip in clips), strict=True)
    for index, pair in enumerate(together):
        for frame, frames in zip(pair, alone, strict=True):
            assert frame.motion is not None
            field = frames[index].motion
            assert field is not None
            np.testing.assert_array_equal(frame.motion.grid, field.grid)


@needs_memory
def test_a_stream_with_hidden_pictures_is_refused(pan: Pan) -> None:
    clip = pan(96, 128, 30, (2.25, -1.5))
    frames = frames_of(encoded(clip, 30, HIDING), clip, 30)
    # up to the picture that is predicted from the hidden one, nothing is amiss
    assert [next(frames).index for _ in range(12)] == list(range(12))
    with pytest.raises(MotionUnavailable, match="not shown before it"):
        list(frames)


@needs_memory
def test_damage_is_refused_or_does_no_harm(pan: Pan) -> None:
    """Bits flipped and ends cut off: an error in words, or vectors of pictures that are there;
    never anything else."""
    clip = pan(64, 96, 8, (2, 1))
    whole, rng = encoded(clip, 4).getvalue(), np.random.default_rng(0)
    refused = []
    for trial in range(40):
        data = bytearray(whole[: int(rng.integers(400, len(whole)))] if trial % 3 == 0 else whole)
        for place in rng.integers(400, len(data), 3):
            data[place] ^= 1 << int(rng.integers(8))
        try:
            for frame in frames_of(io.BytesIO(bytes(data)), clip, 4):
                assert frame.motion is not None
                if frame.motion.blocks is not None:
                    assert set(frame.motion.blocks.named) <= set(
                        range(frame.index - frame.distance, frame.index)
                    )
        except (DataError, MotionUnavailable) as error:
            refused.append(str(error))
    assert len(refused) > 10
    assert all(len(words) > 20 for words in refused)


def test_a_picture_shown_again_has_not_moved() -> None:
    again = Vp9Vectors(17, 20, 4)._still(3)
    assert again.references.shape == (1, 5, 5)
    assert (again.references == 3).all()
    assert not again.vectors.any()


@needs_memory
def test_a_picture_that_no_header_told_of_is_refused(pan: Pan) -> None:
    clip = pan(64, 64, 3)
    stream = encoded(clip, 3)
    with av.open(stream, "r") as container:
        context = container.streams.video[0].codec_context
        reader = Vp9Vectors(64, 64, 8)
        reader.prepare(context)
        pictures = [
            picture for packet in container.demux(video=0) for picture in context.decode(packet)
        ]
        with pytest.raises(DataError, match="picture 0"):
            list(reader.picture(0, pictures[0], context))


def records(references: list[list[tuple[int, int]]], moves: int = 0) -> np.ndarray:
    made = np.zeros(np.array(references).shape[:2], RECORD)
    made["ref"] = references
    made["mv"] = moves
    return made


def test_compound_blocks_have_two_vectors() -> None:
    made = records([[(0, 2), (1, -1), (-1, -1)]])
    made["mv"][0, 0] = [(8, -4), (-12, 1)]
    # of the second, which there is not, old values stand in memory
    made["mv"][0, 1] = [(2, 3), (99, 99)]
    made["mv"][0, 2] = 77
    vectors, references = resolve(9, made, [8, 4, 2])
    np.testing.assert_array_equal(references, [[[8, 4, NONE]], [[2, NONE, NONE]]])
    np.testing.assert_array_equal(
        vectors, [[[(1, -0.5), (0.25, 0.375), (0, 0)]], [[(-1.5, 0.125), (0, 0), (0, 0)]]]
    )
    assert (vectors.dtype, references.dtype) == (np.float32, np.int32)
    vectors, references = resolve(9, made[:, 1:], [8, 4, HIDDEN])
    assert len(vectors) == len(references) == 1


def test_hidden_references_are_refused_where_they_are_used() -> None:
    with pytest.raises(MotionUnavailable, match="hidden"):
        resolve(9, records([[(2, -1)]]), [8, 4, HIDDEN])
    with pytest.raises(MotionUnavailable, match="hidden"):
        resolve(9, records([[(0, 2)]]), [8, 4, HIDDEN])


@pytest.mark.parametrize(
    ("made", "sound"),
    [
        (records([[(0, -1), (2, 1), (-1, -1)]]), True),
        (records([[(0, -1)]], 16383), True),
        (records([[(0, -1)]], -16384), False),
        (records([[(-1, -1)]], -32768), True),
        (records([[(3, -1)]]), False),
        (records([[(-2, -1)]]), False),
        (records([[(0, 3)]]), False),
        (records([[(-1, 0)]]), False),
        (records([[(1, 1)]]), False),
    ],
)
def test_impossible_records_are_refused(made: np.ndarray, sound: bool) -> None:
    if sound:
        check(made, key=False)
        return
    with pytest.raises(MotionUnavailable, match="cannot be motion vectors"):
        check(made, key=False)


def test_a_keyframe_refers_to_nothing() -> None:
    check(records([[(-1, -1)]]), key=True)
    with pytest.raises(MotionUnavailable, match="cannot be motion vectors"):
        check(records([[(-1, -1), (0, -1)]]), key=True)


def test_the_place_is_found_by_its_form() -> None:
    words = np.array([0, 0, 256, 7000, 7000, 7256, 5, 5, 260, 9000, 9000, 9256, 9256], np.uint64)
    assert find(words, 256) == [3, 9]
    assert find(words, 255) == [6]
    assert find(words, 64) == []
    assert find(words[:2], 64) == []


@needs_memory
class TestProof:
    """The self-test believes the reader, and nothing that reads elsewhere."""

    @pytest.fixture(autouse=True)
    def anew(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(proof, "_proofs", {})

    def test_it_passes(self) -> None:
        result = proof.prove(Vp9())
        assert result.reason == ""
        assert result.right >= 0.95

    @pytest.mark.parametrize("words", [-9, -1, 1, 9])
    def test_another_place(self, monkeypatch: pytest.MonkeyPatch, words: int) -> None:
        monkeypatch.setattr(
            vp9, "find", lambda state, blocks: [place + words for place in find(state, blocks)]
        )
        assert proof.prove(Vp9()).reason

    @pytest.mark.parametrize("shift", [2, 4, 6, 8])
    def test_records_beside_the_true_ones(
        self, monkeypatch: pytest.MonkeyPatch, shift: int
    ) -> None:
        true = memory.array
        monkeypatch.setattr(
            memory, "array", lambda address, shape, kind: true(address + shift, shape, kind)
        )
        assert proof.prove(Vp9()).reason

    def test_a_decoder_that_holds_no_such_thing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vp9, "find", lambda state, blocks: [])
        assert "found at 0 places" in proof.prove(Vp9()).reason

    def test_two_candidates(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vp9, "find", lambda state, blocks: [*find(state, blocks), 100])
        assert "found at 2 places" in proof.prove(Vp9()).reason

    def test_a_vector_of_another_scale(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vp9, "UNITS", 4)
        assert "self-test" in proof.prove(Vp9()).reason
