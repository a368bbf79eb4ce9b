"""One limit holds for all that a training keeps of its data, and changes no sample."""

import gc
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import Patterns
from vssbench.core.errors import UsageError
from vssbench.core.motion import MotionField
from vssbench.core.variant import parse_variant
from vssbench.training.augment import Augmentation
from vssbench.training.flow import AffineFlow, VideoFlow
from vssbench.training.loop import Trainer
from vssbench.training.memory import HEAD_BYTES, Memory, batches_ahead, memory_of_process, size_of
from vssbench.training.options import Options
from vssbench.training.pairs import Coding, EgoMotionPairs, GapPairs, VideoPairs
from vssbench.training.samples import EpochSampler, Stills, loader
from vssbench.weights.file import open_weights

#: kept beside the entries: the lists of frames and pairs, and what Python and torch hold of any
#: work done
MARGIN = 64 * 1024
#: of a set of 48 frames of 64x96 pixels, 24 kB each with its label
SMALL, LARGE = 100_000, 2**30
CROP = Augmentation(crop=(48, 64))


def pixels(count):
    return np.zeros(count, np.uint8)


def test_what_was_used_longest_ago_goes_first():
    memory = Memory(3 * (1000 + HEAD_BYTES))
    for key in "abc":
        memory.get(key, lambda: pixels(1000))
    memory.get("a", lambda: pytest.fail("a is kept"))
    memory.get("d", lambda: pixels(1000))
    assert [memory.has(key) for key in "abcd"] == [True, False, True, True]
    assert memory.held == memory.limit
    assert memory.room == 0
    # given, not kept, and nothing goes for it
    assert memory.get("huge", lambda: pixels(10_000)).size == 10_000
    assert [memory.has(key) for key in ("a", "c", "d", "huge")] == [True, True, True, False]
    memory.reserve(1000 + HEAD_BYTES)
    assert [memory.has(key) for key in "acd"] == [True, False, True]
    assert memory.held <= memory.limit - memory.reserved


def test_what_there_is_not_is_remembered_too():
    memory, asked = Memory(10_000), []
    for _ in range(2):
        assert memory.get("none", lambda: asked.append(1)) is None
    assert asked == [1]
    assert memory.held == HEAD_BYTES


def test_a_piece_of_a_larger_array_does_not_keep_that_alive():
    memory = Memory(10_000)
    whole = pixels(1_000_000)
    kept = memory.get("piece", lambda: whole[:100])
    assert kept.base is None
    field = MotionField(
        np.zeros((1000, 2), np.float32)[:10], 8, 80, 8, 0.0, blocks=object(), step=object()
    )
    memory.keep("field", field)
    found = memory.peek("field")
    assert (found.grid.base, found.blocks, found.step) == (None, None, None)
    assert memory.held == size_of(kept) + size_of(found) == 100 + 80 + 2 * HEAD_BYTES


def test_processes_share_what_is_kept_and_divide_the_rest():
    memory = Memory(10_000 + HEAD_BYTES)
    memory.get("kept", lambda: pixels(4000))
    memory.reserve(2000)
    memory.divide(2)
    assert memory.limit == 2000
    assert memory.held == 0
    assert memory.get("kept", lambda: pytest.fail("it is shared")).size == 4000
    memory.get("own", lambda: pixels(1000))
    memory.get("more", lambda: pixels(1000))
    assert memory.held <= 2000
    memory.clear()
    assert memory.has("kept")
    assert memory_of_process(4.0, 4).limit == 2**30


# ---- all kinds of samples


# made once, so that what the clips themselves hold is not counted


@cache
def clips_of(count, frames):
    def flow(frame, earlier):
        return np.full((64, 96, 2), frame - earlier, np.float32) * np.array([2, 1], np.float32)

    return [
        replace(clip, flow=flow) for clip in Patterns(clips=count, frames=frames).training_clips()
    ]


def coding(**options):
    # without the macroblock tree, with which x264 rarely gives other bits for the same tiny frames
    return Coding((parse_variant("h264[preset=superfast,gop=6]"),), **options)


def video(memory):
    return Stills(clips_of(8, 6), CROP, 3, memory)


def single(memory):
    return Stills(clips_of(48, 1), CROP, 3, memory)


KINDS = {
    "stills": single,
    "video pairs": lambda memory: VideoPairs(video(memory), coding()),
    "video pairs of original frames": lambda memory: VideoPairs(
        video(memory), coding(original=True)
    ),
    "video pairs without vectors": lambda memory: VideoPairs(video(memory), coding(vectors=False)),
    "pairs a gap apart": lambda memory: GapPairs(video(memory), coding(), (1, 3)),
    "ego-motion": lambda memory: EgoMotionPairs(single(memory), coding()),
    "known flow": lambda memory: VideoFlow(video(memory), (1, 3)),
    "affine flow": lambda memory: AffineFlow(single(memory)),
}


def epoch(samples):
    """The sums of all samples of an epoch, name by name: what tells whether two epochs are equal,
    in little memory."""
    list(samples.preload())
    found = []
    for number in range(0, len(samples), 3):
        sample = samples[1, number]
        found.append(
            {name: hash(value.contiguous().numpy().tobytes()) for name, value in sample.items()}
        )
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_limit_holds_and_changes_no_sample(kind):
    memory = Memory(LARGE)
    expected = epoch(KINDS[kind](memory))
    assert memory.held > 3 * SMALL  # so that the small limit means something
    del memory
    gc.collect()
    tracemalloc.start()
    try:
        samples = KINDS[kind](Memory(SMALL))
        assert epoch(samples) == expected
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert samples.memory.held <= SMALL
    assert taken <= SMALL + MARGIN


def test_phases_share_one_limit():
    memory = Memory(SMALL)
    stills = video(memory)
    list(stills.preload())
    others = [
        VideoPairs(stills, coding()),
        VideoPairs(stills, replace(coding(), codecs=(parse_variant("h264[crf=45,gop=6]"),))),
    ]
    for pairs in others:
        assert pairs.memory is memory
        list(pairs.preload())
        assert memory.held <= SMALL
    assert len({pairs._key("coded", 0, 0) for pairs in others}) == 2
    one, other = ({name: pairs[0, 3][name] for name in ("image", "keyframe")} for pairs in others)
    assert not torch.equal(one["keyframe"], other["keyframe"])  # each phase sees its own codec


def test_stills_of_other_clips_may_share_a_memory():
    memory, clips = Memory(LARGE), clips_of(48, 1)
    one, other = (Stills(part, CROP, 3, memory) for part in (clips[:2], clips[2:4]))
    assert not np.array_equal(one.image(0, 0), other.image(0, 0))
    assert np.array_equal(other.image(0, 0), clips[2].image(0))


def test_the_streams_of_pairs_go_with_them():
    pairs = VideoPairs(video(Memory(SMALL)), coding())
    list(pairs.preload())
    folder = pairs._folder.path
    assert len(list(folder.rglob("*.mkv"))) == 8
    if (child := os.fork()) == 0:  # a loading process ends its copy of the samples
        try:
            pairs.__dict__.clear()
            gc.collect()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert len(list(folder.rglob("*.mkv"))) == 8
    del pairs
    gc.collect()
    assert not folder.exists()


# ---- processes that load


class Watched(Stills):
    """Stills that say which process made them, and how much it holds."""

    def __getitem__(self, position):
        sample = super().__getitem__(position)
        return {**sample, "process": torch.tensor([os.getpid(), self.memory.held])}


@pytest.mark.parametrize("limit", [400_000, 2_000_000])
def test_loading_processes_hold_no_more_than_the_limit_together(limit):
    batches = {}
    for workers in (0, 2):
        samples = Watched(clips_of(48, 1), CROP, 3, Memory(limit))
        list(samples.preload())
        sampler = EpochSampler(len(samples), 4, 0)
        sampler.epochs = 3
        batches[workers] = list(loader(samples, sampler, workers, pin=False))
        assert samples.memory.reserved > 0
        held = {}
        for batch in batches[workers]:
            held.update(
                {int(pid): int(size) for pid, size in batch["process"] if int(pid) != os.getpid()}
            )
            assert samples.memory.reserved + samples.memory.held + sum(held.values()) <= limit
        assert len(held) == workers
        before = samples.memory.held
        samples.memory.get("more", lambda: pixels(100))
        # the rest is the loading processes'
        assert (samples.memory.held > before) == (workers == 0)
    assert len(batches[0]) == len(batches[2]) == 36
    for one, other in zip(batches[0], batches[2], strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["label"], other["label"])


def test_batches_that_wait_are_fewer_where_memory_is_short():
    assert batches_ahead(Memory(10_000), 10, 2, 1, 4) == 4
    memory = Memory(10_000)
    assert batches_ahead(memory, 700, 2, 1, 4) == 1
    assert memory.reserved == (2 + 2 * 2) * 700
    assert batches_ahead(Memory(10_000), 700, 0, 1, 4) == 1
    with pytest.raises(UsageError, match="give more --memory"):
        batches_ahead(Memory(4000), 700, 2, 1, 4)


def test_a_training_with_little_memory_ends_with_the_same_weights(tmp_path):
    dataset = Patterns(clips=4)  # takes 1 MB, beside half a megabyte of batches

    def weights(name, **changed):
        options = Options(
            epochs=1,
            batch=4,
            crop=(48, 64),
            precision="fp32",
            workers=0,
            validate_every=0,
            codecs=("h264[preset=superfast]",),
        )
        training = Trainer(
            parse_variant("arseg[backbone=bise18,width=0.125]"),
            parse_variant("patterns"),
            dataset,
            replace(options, **changed),
            tmp_path / f"{name}.safetensors",
        )
        tensors = open_weights(training.run()[0]).tensors()
        memory = training.material.stills.memory
        assert memory.held <= memory.limit
        return tensors

    large, small = weights("large"), weights("small", memory=0.001)
    assert all(torch.equal(large[name], small[name]) for name in large)
    with pytest.raises(UsageError, match="give more --memory"):
        weights("none", memory=1e-6)


#: reads 48 frames of 2 MB under the limit given, and prints by how many bytes the process grew at
#: most
SCRIPT = """
import sys
import numpy as np
from vssbench.training.augment import Augmentation
from vssbench.training.memory import Memory
from vssbench.training.samples import Stills
from vssbench.core.video import Clip

def status(name):
    lines = open("/proc/self/status")
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024

def image(index):
    return np.full((720, 960, 3), index, np.uint8)

def label(index):
    return np.full((720, 960), index % 11, np.uint8)

clip = Clip("clip", 48, 720, 960, 15.0, image, label, "")
augmentation = Augmentation(crop=(240, 320))
one = Stills([clip], augmentation, 0, Memory(0))
one[0, 0], one[0, 1]  # what the first samples load
before = status("VmRSS")
stills = Stills([clip], augmentation, 0, Memory(int(sys.argv[1])))
list(stills.preload())
for epoch in range(2):
    for number in range(len(stills)):
        stills[epoch, number]
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="the peak of a process's memory is read from /proc"
)
def test_a_process_grows_by_no_more_than_the_limit():
    """32 MB are allowed on top, for the one sample in the making and what the allocator keeps of
    freed ones."""
    grown = {}
    for limit in (24_000_000, LARGE):
        command = [sys.executable, "-c", SCRIPT, str(limit)]
        done = subprocess.run(
            command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
        )
        grown[limit] = int(done.stdout)
    assert grown[24_000_000] <= 24_000_000 + 32_000_000
    assert grown[LARGE] >= 0.9 * 48 * 720 * 960 * 4
