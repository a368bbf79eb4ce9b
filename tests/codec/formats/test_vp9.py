"""VP9 end to end: exact GOPs, the same bits every time, rates that are kept, refusals in words, a
real clip."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from vssbench.codec.formats.vp9 import PRESETS, Vp9
from vssbench.codec.prediction import predict
from vssbench.codec.rate import parse_rate
from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.motion import NONE, dense
from vssbench.core.variant import parse_variant
from vssbench.core.video import Clip, Image

Pan = Callable[..., Clip]

REAL = Path(os.environ.get("VSSBENCH_TEST_DATA", "/nonexistent")) / "camvid360" / "val"

needs_memory = pytest.mark.skipif(
    not os.path.exists("/proc/self/mem"), reason="this system has no /proc/self/mem"
)


@pytest.mark.parametrize("preset", ["fast", "medium", 8])
@pytest.mark.parametrize("gop", [1, 2, 5, 30])
def test_the_gop_is_exact_across_a_scene_cut(pan: Pan, gop: int, preset: str | int) -> None:
    clip = pan(64, 96, 31, (1, 0), cut=16)
    frames = list(Vp9(gop=gop, preset=preset).frames(clip, motion=False))
    assert [frame.index for frame in frames] == list(range(31))
    assert [frame.distance for frame in frames] == [index % gop for index in range(31)]
    assert [frame.picture_type for frame in frames] == [
        "P" if index % gop else "I" for index in range(31)
    ]
    assert all(frame.bits > 0 for frame in frames)


@needs_memory
@pytest.mark.parametrize(
    "settings", [{}, {"cell": 4}, {"crf": 30}, {"qp": 30}, {"bitrate": "300k"}, {"preset": 8}]
)
@pytest.mark.parametrize("motion", [(-3, -2), (2.25, -1.5)])
def test_accumulated_vectors_follow_a_pan(
    pan: Pan, motion: tuple[float, float], settings: dict[str, Any]
) -> None:
    clip = pan(128, 192, 8, motion)
    *_, last = Vp9(gop=8, **settings).frames(clip)
    assert last.motion is not None
    y, x = np.mgrid[: clip.height, : clip.width]
    seen = (x + 7 * motion[0] >= 0) & (x + 7 * motion[0] < clip.width)
    seen &= (y + 7 * motion[1] >= 0) & (y + 7 * motion[1] < clip.height)
    error = np.linalg.norm(last.motion.dense() - 7 * np.array(motion), axis=-1)[seen]
    assert np.median(error) < 0.5
    assert np.mean(error < 1) >= 0.95


@needs_memory
def test_no_motion_gives_hardly_any_field(pan: Pan) -> None:
    for frame in Vp9(gop=4).frames(pan(97, 131, 9)):
        assert frame.motion is not None
        field = frame.motion.dense()
        assert field.shape == (97, 131, 2)
        # here and there libvpx likes what another vector makes of the coder's noise
        assert (field == 0).all(-1).mean() >= 0.95
        assert np.abs(field).max() < 1


@pytest.mark.parametrize("preset", ["fast", "slow", 7])
def test_the_same_clip_gives_the_same_bits(pan: Pan, tmp_path: Path, preset: str | int) -> None:
    clip = pan(95, 128, 13, (1.5, 1))
    for folder in ("a", "b"):
        list(Vp9(preset=preset).frames(clip, tmp_path / folder, motion=False))
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).glob("*.mkv")}
        for folder in ("a", "b")
    )
    assert len(first) == 1
    assert first == second


@pytest.mark.parametrize(("rate", "noise"), [("100k", 0), ("400k", 20), ("1M", 20)])
def test_the_rate_is_kept_on_a_short_clip(pan: Pan, rate: str, noise: int) -> None:
    """Noise, since a clean pan leaves nothing to spend more bits on."""
    clip = pan(128, 192, 48, (1.25, 0.5))
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(image + rng.integers(-noise, noise + 1, image.shape), 0, 255).astype(np.uint8)
        for image in clip.images()
    ]
    frames = Vp9(bitrate=rate, preset="fast", control="cbr").frames(
        replace(clip, image=noisy.__getitem__), motion=False
    )
    asked = parse_rate(rate) * clip.length / clip.fps
    assert 0.85 * asked <= sum(frame.bits for frame in frames) <= 1.15 * asked


@pytest.mark.parametrize("control", ["crf", "qp"])
def test_a_coarser_quality_gives_fewer_bits(pan: Pan, control: str) -> None:
    clip = pan(96, 128, 6, (1, 1))
    streams = [list(Vp9(**{control: value}).frames(clip, motion=False)) for value in (10, 35, 60)]  # type: ignore[arg-type]
    bits = [sum(frame.bits for frame in frames) for frames in streams]
    quality = [np.mean([frame.psnr_db for frame in frames]) for frames in streams]
    assert bits[0] > bits[1] > bits[2]
    assert quality[0] > quality[1] > quality[2]


def test_a_quantiser_of_zero_loses_nothing(pan: Pan) -> None:
    assert all(
        frame.psnr_db == float("inf")
        for frame in Vp9(qp=0).frames(pan(64, 64, 3, (1, 0)), motion=False)
    )


@pytest.mark.parametrize(("height", "width"), [(97, 131), (96, 131), (97, 128)])
def test_odd_sizes_come_back_as_they_were(pan: Pan, height: int, width: int) -> None:
    y, x = np.mgrid[:height, :width]
    image: Image = np.stack([x, 255 - x, y + 40], -1).astype(np.uint8)
    clip = Clip(
        "gradient",
        3,
        height,
        width,
        30.0,
        lambda index: image,
        lambda index: None,
        f"gradient-{height}x{width}",
    )
    for frame in Vp9(crf=5).frames(clip, motion=False):
        assert frame.image.shape == (height, width, 3)
        difference = np.abs(frame.image.astype(int) - image)
        for part in (
            difference,
            difference[0],
            difference[-1],
            difference[:, 0],
            difference[:, -1],
        ):
            assert part.mean() < 1.5


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"gop": 0}, "gop=0"),
        ({"bitrate": "quick"}, "quick"),
        ({"control": "abr"}, "expected vbr or cbr"),
        ({"crf": 64}, "from 0 to 63"),
        ({"crf": 30.5}, "whole numbers"),
        ({"qp": 64}, "from 0 to 63"),
        ({"qp": 20, "crf": 20}, "exclude each other"),
        ({"preset": "speedy"}, "available: slower, slow, medium"),
        ({"preset": 9}, "0 to 8"),
        ({"preset": True}, "unknown preset"),
        ({"bframes": 2}, "no B-frames"),
        ({"refs": 1}, "3 references"),
        ({"motion": "guessed"}, "estimated or none"),
        ({"cell": 3}, "4 or 8"),
    ],
)
def test_wrong_parameters_are_refused_in_words(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Vp9(**wrong)


def test_presets_are_names_or_numbers() -> None:
    assert [Vp9(preset=name).speed for name in PRESETS] == sorted(PRESETS.values())
    assert [Vp9(preset=speed).speed for speed in range(9)] == list(range(9))
    assert Vp9(preset="4").encoder() == Vp9(preset="fast").encoder()
    # libvpx would take 6 to 8 for 5 with the deadline "good"
    assert {Vp9(preset=speed).encoder().options["deadline"] for speed in (0, 5)} == {"good"}
    assert {Vp9(preset=speed).encoder().options["deadline"] for speed in (6, 7, 8)} == {"realtime"}


def test_the_command_lines_grammar_reaches_it() -> None:
    codec = registry.create("codecs", parse_variant("vp9[gop=6,bitrate=300k,preset=fast]"))
    assert codec.describe() == "VP9 300 kb/s"
    assert codec.gop == 6
    assert (
        registry.create("codecs", parse_variant("vp9[crf=30,preset=5]")).describe() == "VP9 CRF 30"
    )
    assert (
        registry.create("codecs", parse_variant("vp9[qp=30,bframes=0,refs=3]")).describe()
        == "VP9 QP 30"
    )


def test_settings_tell_all_variants_apart() -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"gop": 6},
        {"bitrate": "1M"},
        {"crf": 30},
        {"qp": 30},
        {"preset": "fast"},
        {"fps": 15},
        {"motion": "estimated"},
        {"cell": 4},
        {"fill": "zero"},
        {"whole_pixels": True},
    ]
    assert len({str(Vp9(**variant).settings()) for variant in variants}) == len(variants)


@needs_memory
@pytest.mark.skipif(
    not REAL.is_dir(), reason="VSSBENCH_TEST_DATA does not name a folder with camvid360/val"
)
def test_vectors_follow_a_real_clip() -> None:
    """CamVid at 15 frames a second: each cell moved by its own vector from its own reference,
    against no motion."""
    images = [
        np.asarray(Pillow.open(path).convert("RGB")) for path in sorted(REAL.glob("*.png"))[:24]
    ]
    height, width = images[0].shape[:2]
    clip = Clip(
        "camvid", 24, height, width, 15.0, images.__getitem__, lambda index: None, "camvid-24"
    )
    shown: dict[int, Image] = {}
    moved, still = [], []
    for frame in Vp9(bitrate="1M", preset="fast").frames(clip):
        shown[frame.index] = frame.image
        assert frame.motion is not None
        if frame.motion.step is None or frame.motion.blocks is None:
            continue
        covered = dense((frame.motion.blocks.references != NONE).any(0), 8, clip.height, clip.width)
        moved.append(np.abs(predict(frame.motion.step, shown, 8) - frame.image)[covered])
        still.append(np.abs(shown[frame.index - 1].astype(np.float32) - frame.image)[covered])
    assert np.concatenate(moved).mean() < 0.4 * np.concatenate(still).mean()
