"""Training: it learns, it resumes bit for bit, its phases hand over, its errors are words."""

import math

import numpy as np
import pytest
import torch

from vssbench.errors import UsageError, WeightsError
from vssbench.training import loop
from vssbench.training.augment import Augmentation, Colour, EgoMotion
from vssbench.training.loop import Options, Trainer, rate_factor
from vssbench.training.samples import EgoMotionPairs, EpochSampler, Stills, VideoPairs
from vssbench.variant import parse_variant
from vssbench.weights import open_weights

TINY = Options(epochs=2, batch=4, crop=(48, 64), precision="fp32", workers=0)


def trainer(dataset, out, method="bisenet[width=0.125]", options=TINY):
    return Trainer(parse_variant(method), parse_variant("patterns"), dataset, options, out)


def test_the_loss_falls_and_the_record_is_kept(stills, tmp_path):
    options = Options(**{**vars(TINY), "epochs": 16, "learning_rate": 3e-3})
    path = trainer(stills, tmp_path / "w.safetensors", "pspnet[width=0.125]", options).run()[0]
    history = open_weights(path).training["history"]
    assert len(history) == 16
    assert history[-1]["task"] < 0.8 * history[0]["task"]
    assert not list(tmp_path.glob("*.checkpoint"))


def test_resumed_training_ends_where_an_unbroken_one_does(stills, tmp_path, monkeypatch):
    whole = open_weights(trainer(stills, tmp_path / "whole.safetensors").run()[0]).tensors()
    end_epoch = Trainer._end_epoch

    def stop_after_first(self, number, epoch, *rest):
        end_epoch(self, number, epoch, *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_end_epoch", stop_after_first)
    with pytest.raises(KeyboardInterrupt):
        trainer(stills, tmp_path / "broken.safetensors").run()
    monkeypatch.setattr(Trainer, "_end_epoch", end_epoch)
    resumed = open_weights(trainer(stills, tmp_path / "broken.safetensors").run(resume=True)[0]).tensors()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_resume_without_or_with_a_foreign_checkpoint(stills, tmp_path, monkeypatch):
    with pytest.raises(WeightsError, match="nothing to resume"):
        trainer(stills, tmp_path / "w.safetensors").run(resume=True)
    (tmp_path / "w.safetensors.checkpoint").write_bytes(b"torn")
    with pytest.raises(WeightsError, match="is damaged"):
        trainer(stills, tmp_path / "w.safetensors").run(resume=True)
    monkeypatch.setattr(Trainer, "_samples", lambda self, phase: (_ for _ in ()).throw(KeyboardInterrupt))
    first = trainer(stills, tmp_path / "w.safetensors")
    loop.Checkpoint(first.identity(), 0, 1, {}, {}, 0.0, []).save(first.checkpoint_path)
    with pytest.raises(WeightsError, match=r"epochs='2'.*'5'"):
        trainer(stills, tmp_path / "w.safetensors", options=Options(**{**vars(TINY), "epochs": 5})).run(resume=True)


def test_arseg_trains_on_stills_and_on_video(stills, patterns, tmp_path):
    """Its three phases in order, pairs made by ego-motion through the codec, or taken from real video."""
    for number, dataset in enumerate((stills, patterns)):
        path = trainer(dataset, tmp_path / f"{number}.safetensors", "arseg[backbone=bise18,width=0.125]").run()[0]
        file = open_weights(path)
        assert [entry["phase"] for entry in file.training["history"]] == ["hr", "hr", "lr", "fusion"]
        assert "feature" in file.training["history"][-1]
        assert file.tensors()["fusion.value.weight"].abs().sum() > 0


def test_per_frame_weights_replace_phases(stills, tmp_path):
    high = trainer(stills, tmp_path / "high.safetensors").run()[0]
    low = trainer(stills, tmp_path / "low.safetensors", "bisenet[width=0.125,scale=0.5]").run()[0]
    options = Options(**{**vars(TINY), "initial": (high, low)})
    path = trainer(stills, tmp_path / "ar.safetensors", "arseg[backbone=bise18,width=0.125]", options).run()[0]
    file = open_weights(path)
    assert {entry["phase"] for entry in file.training["history"]} == {"fusion"}
    assert torch.equal(file.tensors()["high.final.weight"], open_weights(high).tensors()["net.final.weight"])


def test_samples_depend_on_seed_epoch_and_index_alone(stills):
    first, second = (Stills(stills.training_clips(), Augmentation(crop=(48, 64)), 3) for _ in range(2))
    list(first.preload())
    assert torch.equal(first[1, 4]["image"], second[1, 4]["image"])
    assert not torch.equal(first[1, 4]["image"], first[2, 4]["image"])
    pairs = EgoMotionPairs(first, parse_variant("h264"))
    assert torch.equal(pairs[0, 2]["motion"], EgoMotionPairs(second, parse_variant("h264"))[0, 2]["motion"])


def test_video_pairs_carry_the_codecs_motion(patterns):
    """The pattern moves by (2, 1) pixels a frame: motion to the keyframe d frames back is (2 d, d), scaled by the window."""
    pairs = VideoPairs(patterns.training_clips(), [parse_variant("h264[bitrate=4M]")], Augmentation((64, 96), (1, 1), 0), 0)
    list(pairs.preload())
    assert len(pairs) == 2 * 5  # every frame but the keyframes
    distances = [1, 2, 3, 4, 5] * 2
    for number, distance in enumerate(distances):
        sample = pairs[0, number]
        sign = 1 if float(sample["motion"][0].median()) > 0 else -1  # mirrored windows
        motion = sample["motion"].flatten(1).median(1).values
        assert float(motion[0]) == pytest.approx(sign * 2 * distance, abs=0.5)
        assert float(motion[1]) == pytest.approx(distance, abs=0.5)


def test_ego_motion_pairs_carry_the_codecs_motion(stills):
    """Vectors from the codec agree with the drawn ego-motion's exact flow, in the median over textured stills."""
    samples = Stills(stills.training_clips(), Augmentation(crop=(64, 96), scales=(1, 1), jitter=0), 5)
    pairs = EgoMotionPairs(samples, parse_variant("h264"))
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


def test_rate_warms_up_and_decays():
    assert rate_factor(0, 10, 1) == pytest.approx(0.05)
    assert rate_factor(1, 10, 1) == pytest.approx(1)
    assert rate_factor(5.5, 10, 1) == pytest.approx(0.5)
    assert rate_factor(10, 10, 1) == pytest.approx(0)
    assert all(math.isfinite(rate_factor(x / 10, 1, 1)) for x in range(11))


def test_divergence_is_an_error_in_words(stills, tmp_path):
    with pytest.raises(UsageError, match="training diverged"):
        trainer(stills, tmp_path / "w.safetensors", options=Options(**{**vars(TINY), "learning_rate": 1e30})).run()
