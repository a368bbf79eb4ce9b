"""Samples: stills, pairs of video and of ego-motion, and the order in which they are drawn."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from vssbench.core import registry
from vssbench.core.errors import DataError, UsageError
from vssbench.core.segmenter import Phase
from vssbench.core.variant import Variant, parse_variant
from vssbench.training.augment import Augmentation, Colour, EgoMotion
from vssbench.training.pairs import Coding, EgoMotionPairs, GapPairs, VideoPairs, at_quality
from vssbench.training.recipe import PhaseRecipe
from vssbench.training.samples import EpochSampler, Stills, loader
from vssbench.training.sources import samples_of

WHOLE = Augmentation((64, 96), (1, 1), 0)


def coding(codec="h264", **options):
    return Coding((parse_variant(codec),), **options)


def stills_of(dataset, augmentation=WHOLE, seed=3):
    return Stills(dataset.training_clips(), augmentation, seed)


def test_samples_depend_on_seed_epoch_and_index_alone(stills):
    first, second = (stills_of(stills, Augmentation(crop=(48, 64))) for _ in range(2))
    list(first.preload())
    assert torch.equal(first[1, 4]["image"], second[1, 4]["image"])
    assert not torch.equal(first[1, 4]["image"], first[2, 4]["image"])
    # without the macroblock tree, with which x264 rarely gives other bits for the same tiny frames
    repeatable = coding("h264[preset=superfast]")
    pairs = EgoMotionPairs(first, repeatable)
    assert torch.equal(pairs[0, 2]["motion"], EgoMotionPairs(second, repeatable)[0, 2]["motion"])


def test_frames_without_a_label_are_left_out(patterns):
    clips = [replace(clip, label=lambda index,
    read=clip.label: read(index) if index == 3 else None) for clip in
             patterns.training_clips()]  # fmt: skip
    samples = Stills(clips, WHOLE, 0)
    list(samples.preload())
    assert samples.frames == [(0, 3), (1, 3)]
    pairs = GapPairs(samples, coding(), (2, 2))
    assert len(pairs) == 2
    assert pairs[0, 0]["keyframe"].shape == (3, 64, 96)
    unlabelled = Stills([replace(clip, label=lambda index: None) for clip in clips], WHOLE, 0)
    with pytest.raises(DataError, match="no labelled frame"):
        list(unlabelled.preload())


def test_video_pairs_carry_the_codecs_motion(patterns):
    """The pattern moves by (2, 1) pixels a frame: motion to the keyframe d frames back is (2 d, d),
    scaled by the window."""
    pairs = VideoPairs(stills_of(patterns), coding("h264[bitrate=4M]"))
    list(pairs.preload())
    assert len(pairs) == 2 * 5  # every frame but the keyframes
    distances = [1, 2, 3, 4, 5] * 2
    for number, distance in enumerate(distances):
        _check_motion(pairs[0, number]["motion"], distance)


def _check_motion(motion, distance):
    sign = 1 if float(motion[0].median()) > 0 else -1  # mirrored windows
    median = motion.flatten(1).median(1).values
    assert float(median[0]) == pytest.approx(sign * 2 * distance, abs=0.5)
    assert float(median[1]) == pytest.approx(distance, abs=0.5)


def test_pairs_a_fixed_gap_apart(patterns):
    """Whatever the codec's GOP: the keyframe lies exactly so many frames before the image, and the
    motion leads there."""
    samples = stills_of(patterns)
    pairs = GapPairs(samples, coding("h264[bitrate=4M,gop=4]"), (3, 3))
    assert [samples.frames[target] for target in pairs.targets] == [
        (clip, index) for clip in (0, 1) for index in (3, 4, 5)
    ]
    for number in range(len(pairs)):
        sample = pairs[0, number]
        _check_motion(sample["motion"], 3)
        clip, index = samples.frames[pairs.targets[number]]
        flipped = float(sample["motion"][0].median()) < 0
        for key, frame in (("image", index), ("keyframe", index - 3)):
            shown = sample[key].permute(1, 2, 0).numpy().astype(float)
            truth = samples.image(clip, frame)[:, ::-1] if flipped else samples.image(clip, frame)
            assert np.abs(shown - truth).mean() < 12  # coded, so not equal


def test_a_range_of_gaps_is_drawn_from_evenly_and_0_is_the_frame_itself(patterns):
    samples = stills_of(patterns)
    pairs = GapPairs(samples, coding("h264[bitrate=4M]"), (0, 2))
    assert len(pairs) == 12  # the first frames of clips too, by themselves
    gaps = []
    for epoch, number in itertools.product(range(6), (4, 5, 10, 11)):
        sample = pairs[epoch, number]
        gap = round(float(sample["motion"][1].median()))
        gaps.append(gap)
        if gap == 0:
            assert torch.equal(sample["keyframe"], sample["image"])
            assert sample["motion"].abs().max() == 0
    assert {gaps.count(gap) >= 4 for gap in (0, 1, 2)} == {True}


def test_pairs_without_vectors_and_of_original_frames(patterns):
    samples = stills_of(patterns, Augmentation((64, 96), (1, 1), 0, flip=0))
    assert "motion" not in GapPairs(samples, coding(vectors=False), (2, 2))[0, 0]
    original = GapPairs(samples, coding(vectors=False, original=True), (2, 2))[0, 0]
    assert (
        np.abs(original["image"].permute(1, 2, 0).numpy().astype(int) - samples.image(0, 2)).max()
        <= 1
    )
    assert (
        np.abs(
            original["keyframe"].permute(1, 2, 0).numpy().astype(int) - samples.image(0, 0)
        ).max()
        <= 1
    )
    with_vectors = GapPairs(samples, coding(original=True), (2, 2))[0, 0]
    assert torch.equal(with_vectors["image"], original["image"])
    _check_motion(with_vectors["motion"], 2)


def test_pairs_need_clips_that_are_long_enough(patterns):
    with pytest.raises(DataError, match="20 frames before it"):
        GapPairs(stills_of(patterns), coding(), (20, 20))


def test_ego_motion_pairs_carry_the_codecs_motion(stills):
    """Vectors from the codec agree with the drawn ego-motion's exact flow, in the median over
    textured stills."""
    samples = stills_of(stills, Augmentation(crop=(64, 96), scales=(1, 1), jitter=0), 5)
    pairs = EgoMotionPairs(samples, coding())
    errors = []
    for number in range(8):
        sample = pairs[0, number]
        rng = np.random.default_rng([5, 0, number, 1])
        samples.augmentation.window(64, 96, rng)
        Colour.draw(0, rng)  # drawn between the window and the motion
        flow = EgoMotion.draw(64, 96, rng).flow(64, 96)
        centre = np.abs(sample["motion"].permute(1, 2, 0).numpy() - flow)[16:48, 24:72]
        errors.append(np.median(centre))
    assert np.median(errors) < 1.0


def test_ego_motion_of_gap_0_repeats_the_still(stills):
    sample = EgoMotionPairs(stills_of(stills), coding(), (0, 0))[0, 1]
    assert torch.equal(sample["keyframe"], sample["image"])
    assert sample["motion"].abs().max() == 0
    drawn = [
        EgoMotionPairs(stills_of(stills), coding(), (0, 1))[epoch, 1]["motion"].abs().max() > 0
        for epoch in range(8)
    ]
    assert {bool(moved) for moved in drawn} == {True, False}


#: codec -> its scale of quality, and the finest and coarsest that ego-motion is coded at
QUALITIES = {
    "h264": ("crf", 18, 40), "hevc": ("crf", 18, 40), "vp9": ("crf", 30, 63), "av1": ("crf", 20,
    63),
    "mpeg4": ("qp", 3, 31), "mpeg2": ("qp", 3, 31),
}  # fmt: skip


@pytest.mark.parametrize("codec", QUALITIES)
def test_ego_motion_is_coded_at_a_quality_of_the_codecs_own_scale(codec, patterns):
    scale, finest, coarsest = QUALITIES[codec]
    rng = np.random.default_rng(0)
    drawn = [at_quality(parse_variant(f"{codec}[bitrate=1M,fill=zero]"), rng) for _ in range(500)]
    assert {tuple(variant.params) for variant in drawn} == {("fill", scale)}
    assert {variant.params[scale] for variant in drawn} == set(range(finest, coarsest + 1))
    clip = patterns.training_clips()[0]
    psnr = []
    for value in (finest, coarsest):
        frames = registry.create(
            "codecs", Variant(codec, {scale: value, "gop": clip.length})
        ).frames(clip, motion=False)
        psnr.append(np.mean([frame.psnr_db for frame in frames]))
    best, worst = psnr
    assert best > 40
    assert 28 < worst < 32


def test_a_random_quality_replaces_whatever_rate_was_given():
    draws = np.random.default_rng(7)
    for given in ("h264", "h264[bitrate=1M]", "h264[crf=20]", "h264[qp=20]"):
        expected = np.random.default_rng(7).integers(18, 41)
        assert at_quality(parse_variant(given), np.random.default_rng(7)) == Variant(
            "h264", {"crf": expected}
        )
    assert at_quality(parse_variant("raw[gop=4]"), draws) == parse_variant("raw[gop=4]")
    assert draws.random() == np.random.default_rng(7).random()


@pytest.mark.parametrize("codec", ["mpeg4[bitrate=1M]", "mpeg2[qp=5]", "vp9[bitrate=1M]"])
def test_ego_motion_through_other_codecs(codec, stills):
    sample = EgoMotionPairs(stills_of(stills), coding(codec))[0, 1]
    assert sample["image"].shape == sample["keyframe"].shape == (3, 64, 96)
    assert sample["motion"].abs().max() > 0


def test_what_a_phase_is_fed_with(stills, patterns):
    def kind(dataset, needs=frozenset({"motion"}), recipe=None, **phase):
        return type(
            samples_of(Phase("p", **phase), recipe or PhaseRecipe(), stills_of(dataset), needs)
        ).__name__

    assert kind(patterns) == "Stills"
    assert kind(patterns, data="pairs") == "VideoPairs"
    assert kind(patterns, data="pairs", gaps=(0, 2)) == "GapPairs"
    assert kind(patterns, data="pairs", recipe=PhaseRecipe(gaps=(2, 2))) == "GapPairs"
    assert kind(stills, data="pairs", gaps=(0, 2)) == kind(stills, data="pairs") == "EgoMotionPairs"
    assert kind(stills, data="flow") == kind(patterns, data="flow") == "AffineFlow"
    raw = PhaseRecipe(codecs=("raw",))
    assert kind(patterns, frozenset(), raw, data="pairs", gaps=(1, 1)) == "GapPairs"
    with pytest.raises(UsageError, match="raw has none"):
        kind(patterns, recipe=raw, data="pairs")
    with pytest.raises(UsageError, match="expected stills, pairs or flow"):
        kind(patterns, data="video")


def test_epochs_are_permutations():
    sampler = EpochSampler(10, 5, seed=1)
    orders = []
    for epoch in range(2):
        sampler.epoch = epoch
        flat = [number for batch in sampler for _, number in batch]
        assert sorted(flat) == list(range(10))
        orders.append(flat)
    assert orders[0] != orders[1]
    assert len(EpochSampler(100, 8, 0, limit=16)) == 2


@pytest.mark.parametrize(("accumulate", "processes"), [(1, 1), (2, 1), (1, 2), (2, 2), (4, 2)])
def test_steps_have_the_same_samples_however_they_are_cut(accumulate, processes):
    """8 samples a step, 3 steps: in so many passes, each over so many processes."""
    whole = [[number for _, number in batch] for batch in EpochSampler(26, 8, seed=1)]
    assert len(whole) == 3
    steps = [[] for _ in whole]
    for rank in range(processes):
        sampler = EpochSampler(26, 8 // accumulate, 1, None, accumulate, rank, processes)
        assert (sampler.steps, sampler.sizes) == (3, [8 // accumulate] * accumulate)
        for position, batch in enumerate(sampler):
            assert len(batch) == 8 // accumulate // processes
            steps[position // accumulate] += [number for _, number in batch]
    assert [sorted(step) for step in steps] == [sorted(step) for step in whole]


def test_a_small_set_makes_one_smaller_step():
    sampler = EpochSampler(5, 4, 0, accumulate=3)
    assert (sampler.steps, sampler.sizes) == (1, [4, 1])
    assert sorted(number for batch in sampler for _, number in batch) == list(range(5))
    with pytest.raises(UsageError, match="multiple of 2"):
        EpochSampler(100, 5, 0, processes=2)


def test_a_pass_goes_through_epochs_without_a_pause():
    apart = []
    for epoch in (2, 3, 4):
        sampler = EpochSampler(10, 4, seed=1)
        sampler.epoch = epoch
        apart += list(sampler)
    sampler = EpochSampler(10, 4, seed=1)
    sampler.epoch, sampler.epochs = 2, 3
    assert list(sampler) == apart
    assert len(sampler) == 2  # of an epoch


def test_batches_are_channels_last_and_labels_small(stills):
    samples = stills_of(stills)
    for workers in (0, 1):
        batch = next(iter(loader(samples, EpochSampler(8, 4, 0), workers, pin=False)))
        assert batch["image"].shape == (4, 3, 64, 96)
        assert batch["image"].is_contiguous(memory_format=torch.channels_last)
        assert (batch["image"].dtype, batch["label"].dtype) == (torch.uint8, torch.uint8)


def test_pairs_say_how_far_apart_they_are(stills, patterns):
    """Distances are in frames: of video the true number, 0 where a sample is a keyframe."""
    video = VideoPairs(stills_of(patterns), coding("h264[bitrate=4M]"))
    list(video.preload())
    assert [int(video[0, number]["distance"]) for number in range(10)] == [1, 2, 3, 4, 5] * 2
    apart = GapPairs(stills_of(patterns), coding(vectors=False), (0, 2))
    drawn = [apart[epoch, number] for epoch in range(4) for number in (2, 3)]
    assert {int(sample["distance"]) for sample in drawn} == {0, 1, 2}
    for sample in drawn:
        assert torch.equal(sample["image"], sample["keyframe"]) == (sample["distance"] == 0)
    for gap in (0, 3):
        made = EgoMotionPairs(stills_of(stills), coding(vectors=False), (gap, gap))[0, 1]
        assert made["distance"] == gap


#: a codec of pairs -> what it is created as for a GOP of four frames at its stated rate
STATED = {
    "h264[bitrate=500k]": {"bitrate": "500k", "gop": 4},
    "hevc[qp=30]": {"qp": 30, "gop": 4},
    "hevc[paper=arseg-camvid,bitrate=1M]": {
        "bitrate": "1M", "gop": 4, "preset": "medium", "bframes": 0, "refs": 3, "rect": True,
        "fps": 30.0,
    },
    "hevc[paper=arseg-cityscapes]": {
        "bitrate": "5M", "gop": 4, "preset": "medium", "bframes": 0, "refs": 3, "rect": True,
        "fps": 17.0,
    },
}  # fmt: skip


@pytest.mark.parametrize("codec", STATED)
def test_pairs_of_stills_are_coded_at_a_stated_rate_or_a_random_quality(codec, stills, monkeypatch):
    created = []
    create = registry.create
    monkeypatch.setattr(
        registry,
        "create",
        lambda kind, variant, **given: created.append(variant) or create(kind, variant, **given),
    )
    shown = [
        EgoMotionPairs(stills_of(stills), coding(codec, vectors=False, stated_rate=stated), (3, 3))[
            0, 1
        ]
        for stated in (True, False)
    ]
    assert created[0].params == STATED[codec]
    rest = {key: value for key, value in STATED[codec].items() if key not in ("bitrate", "qp")}
    assert {key: value for key, value in created[1].params.items() if key != "crf"} == rest
    assert 18 <= created[1].params["crf"] <= 40
    assert all(sample["distance"] == 3 for sample in shown)


def test_a_papers_encoding_codes_pairs_of_video_of_any_length(patterns):
    codec = coding("hevc[paper=arseg-camvid,fill=zero,whole_pixels=true]", original=True)
    for gap in (1, 3):
        sample = GapPairs(stills_of(patterns), codec, (gap, gap))[0, 1]
        assert sample["motion"].shape == (2, 64, 96)
        assert not torch.remainder(sample["motion"], 1).any()
