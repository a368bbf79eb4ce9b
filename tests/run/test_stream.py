"""The one place where a method meets frames: its clocks, its warm-up, its precisions, what it
refuses, and that there is no second place."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from vssbench.core.errors import DataError, UsageError
from vssbench.core.segmenter import VideoSegmenter
from vssbench.core.video import Frame
from vssbench.nets.resize import resize
from vssbench.run.clock import WholeClock, step_clock
from vssbench.run.stream import Stream, _finite

ROOT = Path(__file__).resolve().parents[2]
#: where a method may be called: the methods themselves and their interface, the stream, training,
#: counting on shapes alone, what compares the fast form with the plain one, and baselines that run
#: another method's network
CALLERS = (
    "methods/",
    "vssbench/core/segmenter.py",
    "vssbench/run/stream.py",
    "vssbench/training/",
    "vssbench/cost/",
    "vssbench/fast/",
    "vssbench/nets/keyframe_baseline.py",
)


class Brightness(VideoSegmenter):
    """Class 1 where a pixel is brighter than the keyframe's mean; counts its calls."""

    display = "Brightness"
    needs = frozenset({"motion"})

    def __init__(self, value=0.0):
        super().__init__(2)
        self.value, self.calls = value, []

    def keyframe(self, image):
        self.calls.append(("key", image.dtype, torch.is_autocast_enabled("cpu")))
        return self._scores(image, image.mean()), image.mean()

    def nonkeyframe(self, image, motion, reference):
        self.calls.append(("other", tuple(motion.shape), float(reference)))
        return self._scores(image, reference)

    def _scores(self, image, mean):
        grey = image.mean(1, keepdim=True)[..., ::2, ::2]
        logits = torch.cat([mean.expand_as(grey), grey], 1)
        logits[..., 0, 0] += self.value
        return logits


class Still:
    """Motion that is zero."""

    def dense(self):
        return np.zeros((8, 12, 2), np.float32)


def frame(index, distance, value=100):
    image = np.full((8, 12, 3), value, np.uint8)
    image[:, 6:] += 50
    return Frame(index, image, "P" if distance else "I", distance, motion=Still())


def test_labels_are_those_of_the_resized_logits():
    """By hand, at the frame's own size and at another."""
    stream = Stream(Brightness())
    image = torch.from_numpy(frame(0, 0).image).permute(2, 0, 1)[None].float() / 255
    for size in (None, (16, 24)):
        labels, _ = stream.segment(frame(0, 0), size)
        logits, _ = Brightness().keyframe(image)
        expected = resize(logits, size or (8, 12))[0].argmax(0)
        assert labels.dtype == np.uint8
        assert np.array_equal(labels, expected.numpy())
    assert set(np.unique(labels)) == {0, 1}


@pytest.mark.parametrize(
    ("passes", "before"), [(0, []), (1, ["key", "other"]), (2, 2 * ["key", "other"])]
)
def test_warm_up_is_an_argument_and_leaves_nothing_behind(passes, before):
    model = Brightness()
    stream = Stream(model, warm_up=passes)
    for index, distance in enumerate((0, 1, 0)):
        stream.segment(frame(index, distance))
    assert [call[0] for call in model.calls] == [*before, "key", "other", "key"]
    assert (stream.warm_up_seconds > 0) == (passes > 0)


def test_a_later_frame_sees_the_keyframe_before_it():
    model = Brightness()
    stream = Stream(model, warm_up=1)
    for index, (distance, value) in enumerate(((0, 0), (1, 90), (0, 200), (1, 10))):
        stream.segment(frame(index, distance, value))
    seen = [call[2] for call in model.calls[2:] if call[0] == "other"]
    assert seen == [pytest.approx(25 / 255), pytest.approx(225 / 255)]


@pytest.mark.parametrize(("precision", "on"), [("fp32", False), ("bf16", True), ("fp16", True)])
def test_autocast_is_on_where_the_precision_asks_for_it(precision, on):
    model = Brightness()
    Stream(model, precision=precision).segment(frame(0, 0))
    assert model.calls == [("key", torch.float32, on)]


def test_one_time_of_a_whole_clock_and_three_of_steps():
    for clock, count in ((None, 1), (WholeClock("cpu"), 1), (step_clock("cpu"), 3)):
        _, times = Stream(Brightness(), clock=clock).segment(frame(0, 0))
        assert len(times) == count
        assert min(times) > 0


def test_the_conversion_to_tensors_is_no_part_of_the_whole(monkeypatch):
    """The whole begins at the first mark, when the tensors are on the device."""
    now = iter([10.0, 10.5])
    clock = WholeClock("cpu")
    monkeypatch.setattr("vssbench.run.clock.time.perf_counter", lambda: next(now))
    clock.start()
    clock.mark()
    clock.mark()
    clock.mark()
    assert clock.stop() == [500.0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("distance", [0, 1])
def test_a_logit_that_is_not_finite_is_refused(value, distance):
    model = Brightness()
    stream = Stream(model)
    stream.segment(frame(0, 0))
    model.value = value
    with pytest.raises(
        DataError, match=r"frame 3 of 'drive': 2 of 48 logits of Brightness are not"
    ):
        stream.segment(frame(3, distance), name="frame 3 of 'drive'")
    # random weights, which are timed and never scored, may give anything
    Stream(model, trained=False).segment(frame(0, 0))


def test_a_frame_without_the_motion_that_is_needed_is_refused():
    stream = Stream(Brightness())
    stream.segment(frame(0, 0))
    lacking = frame(1, 1)
    lacking.motion = None
    with pytest.raises(DataError, match=r"frame 1 came without motion .* which Brightness needs"):
        stream.segment(lacking)


def calls_of_a_method(source):
    """Lines that call a method's network. An estimator of motion has a ``follow`` of fewer
    arguments."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (
            node.func.attr in ("keyframe", "nonkeyframe", "begin")
            or (node.func.attr == "follow" and len(node.args) + len(node.keywords) > 2)
        )
    ]


def test_no_second_place_calls_a_method():
    found = {}
    for folder in ("vssbench", "methods", "datasets", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            place = path.relative_to(ROOT).as_posix()
            lines = calls_of_a_method(path.read_text(encoding="utf-8"))
            if lines and not place.startswith(CALLERS):
                found[place] = lines
    assert found == {}
    stream = (ROOT / "vssbench/run/stream.py").read_text(encoding="utf-8")
    assert len(calls_of_a_method(stream)) == 2


def test_a_precision_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown precision 'fp64': expected fp32, bf16 or fp16"):
        Stream(Brightness(), precision="fp64")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_one_value_that_is_not_finite_is_found_wherever_it_lies(
    value: float, form: torch.memory_format
) -> None:
    for place in (0, 77, -1):
        logits = torch.randn(1, 3, 6, 5)
        logits.view(-1)[place] = value
        strided = torch.cat([logits, logits], 3)[..., ::2]
        for each in (logits.contiguous(memory_format=form), strided):
            assert _finite(each) == bool(each.isfinite().all())
