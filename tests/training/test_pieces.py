"""Training in pieces: stopped in time, phase by phase, with frames kept on disk."""

from dataclasses import replace

import numpy as np
import pytest

from vssbench.core.errors import UsageError
from vssbench.core.variant import parse_variant
from vssbench.training.frames import kept
from vssbench.training.loop import Trainer
from vssbench.training.options import Options
from vssbench.weights.file import open_weights

TINY = Options(epochs=2, batch=4, crop=(48, 64), precision="fp32", workers=0)


def trainer(dataset, out, options=TINY, method="bisenet[width=0.125]"):
    return Trainer(parse_variant(method), parse_variant("patterns"), dataset, options, out)


def equal(one, other):
    first, second = open_weights(one).tensors(), open_weights(other).tensors()
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


def test_a_training_stops_in_time_and_goes_on_bit_for_bit(stills, tmp_path, capfd):
    whole = trainer(stills, tmp_path / "whole.safetensors").run()[0]
    out = tmp_path / "pieces.safetensors"
    short = replace(TINY, minutes=1e-9)
    assert trainer(stills, out, short).run() == []
    assert not out.exists()
    assert "stopped after epoch 1 of phase task" in " ".join(capfd.readouterr().err.split())
    # the last epoch is never cut off: what is done is written
    assert trainer(stills, out, short).run(resume=True) == [out]
    assert equal(out, whole)


def test_phases_that_are_asked_for_are_run_though_others_are_replaced(stills, tmp_path):
    method = "dff[backbone=resnet18,width=0.125]"
    options = replace(TINY, epochs=1, phases=("task",))
    first = trainer(stills, tmp_path / "first.safetensors", options, method).run()[0]
    assert {entry["phase"] for entry in open_weights(first).training["history"]} == {"task"}
    again = replace(options, initial=(first,), phases=("task", "joint"))
    phases = [phase.name for phase in trainer(stills, tmp_path / "b", again, method).phases]
    assert phases == ["task", "joint"]
    with pytest.raises(UsageError, match="has no training phase 'tasks'; it has task, flow, joint"):
        trainer(stills, tmp_path / "c", replace(options, phases=("tasks",)), method)


def test_a_dff_takes_what_fits_from_another(stills, tmp_path):
    options = replace(TINY, epochs=1, phases=("task",))
    name = "dff[backbone=resnet18,width=0.125]"
    source = trainer(stills, tmp_path / "a.safetensors", options, name).run()[0]
    given = open_weights(source).tensors()
    start = replace(TINY, epochs=1, initial=(source,))
    codec = "dff[backbone=resnet18,motion=codec,width=0.125]"
    other = trainer(stills, tmp_path / "b", start, codec).model.state_dict()
    assert all(other[name].equal(given[name].float()) for name in other if name in given)
    psp = "dff[backbone=psp18,width=0.125]"
    taken = trainer(stills, tmp_path / "c", start, psp).model.state_dict()
    flow = [name for name in taken if name.startswith("flow.network.")]
    assert flow
    assert all(taken[name].equal(given[name].float()) for name in flow if taken[name].ndim > 1)


def test_frames_on_disk_are_the_clip_s_and_damaged_ones_are_made_again(patterns, tmp_path):
    (clip, *_) = patterns.training_clips()
    for _ in range(2):
        copy = kept(clip, tmp_path)
        for index in range(clip.length):
            assert np.array_equal(copy.image(index), clip.image(index))
            assert np.array_equal(copy.label(index), clip.label(index))
        for file in tmp_path.rglob("*.npy"):
            file.write_bytes(b"broken")


def test_a_training_from_kept_frames_is_the_same(stills, tmp_path):
    plain = trainer(stills, tmp_path / "plain.safetensors").run()[0]
    options = replace(TINY, frame_folder=tmp_path / "frames")
    for name in ("made", "read"):
        assert equal(trainer(stills, tmp_path / f"{name}.safetensors", options).run()[0], plain)
