"""``bench.py latency`` as a user meets it: tiny networks, real processes, real times."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.typed import in_full
from vssbench.cli import bench
from vssbench.core import registry
from vssbench.core.errors import DataError, UsageError
from vssbench.core.variant import parse_variant
from vssbench.latency import result as store
from vssbench.latency.compare import check_comparable, ratios_again
from vssbench.latency.samples import columns

ROOT = Path(__file__).resolve().parents[2]
TINY, SLOW = "bisenet[width=0.125]", "spun[width=0.125]"
QUICK = (
    "--size",
    "64x96",
    "--gop",
    "3",
    "--processes",
    "1",
    "--rounds",
    "2",
    "--seconds",
    "0.2",
    "--threads",
    "1",
)

PLUGIN = '''
import os, time
from vssbench.core import registry

class Spun(registry.load("methods", "bisenet")):
    """bisenet that takes half as long again."""

    def keyframe(self, image):
        started = time.perf_counter()
        found = super().keyframe(image)
        end = started + 1.5 * (time.perf_counter() - started)
        while time.perf_counter() < end:
            pass
        return found

class Dies(registry.load("methods", "bisenet")):
    """Is gone, without a word, at a frame of the size that is timed."""

    def keyframe(self, image):
        if image.shape[-1] == 96 and image.shape[-2] == 64 and image.device.type != "meta":
            os.kill(os.getpid(), 9)
        return super().keyframe(image)
'''


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """A folder with methods of another distribution, on the path of this process and of those that
    it starts."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "spun_methods.py").write_text(PLUGIN)
    record = folder / "spun_methods-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: spun-methods\nVersion: 1.0\n")
    points = "[vssbench.methods]\nspun = spun_methods:Spun\ndies = spun_methods:Dies\n"
    (record / "entry_points.txt").write_text(points)
    sys.path.insert(0, str(folder))
    registry.plugins.cache_clear()
    yield folder
    sys.path.remove(str(folder))
    registry.plugins.cache_clear()


def call(*arguments):
    return CliRunner().invoke(bench, ["latency", *(str(a) for a in arguments)])


@pytest.fixture(scope="module")
def measured(plugins, tmp_path_factory):
    """A tiny network, one that is slower by half, and one whose process dies."""
    folder = tmp_path_factory.mktemp("latency")
    found = call("-m", TINY, "-m", SLOW, "-m", "dies[width=0.125]", *QUICK, "-o", folder, "--json")
    return folder, found


def test_a_dead_process_is_named_and_the_others_are_kept(measured):
    _, found = measured
    assert found.exit_code == 1, found.output
    said = json.loads(found.stdout)
    assert said["status"] == "failed"
    tiny, slow, dead = said["methods"]
    assert (tiny["status"], slow["status"], dead["status"]) == ("done", "done", "failed")
    assert "SIGKILL" in dead["reason"]
    assert dead["times"] == {}
    assert tiny["weights"] == "random"
    assert tiny["verdict"]
    assert tiny["threads"] == 1
    assert len(tiny["warmups"]) == 1


def test_slower_method_has_the_larger_ratio(measured):
    _, found = measured
    ratios = {ratio["kind"]: ratio for ratio in json.loads(found.stdout)["ratios"]}
    assert set(ratios) == {"key", "nonkey", "gop"}
    assert ratios["gop"]["first"] == TINY
    assert ratios["gop"]["ratio"] < 0.9  # 2/3 but for the machine's noise


def test_every_time_is_stored_with_kind_and_distance(measured):
    folder, found = measured
    (stored,) = store.find(folder)
    samples = stored.samples
    assert set(samples.distance) == {0, 1, 2}
    assert all(len(column) == len(samples) for column in columns(samples).values())
    # whole GOPs in order, each round at least one
    assert list(samples.distance) == [0, 1, 2] * (len(samples) // 3)
    assert set(zip(samples.method, samples.round, strict=True)) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert (samples.model_ms > 0).all()
    assert (samples.decode_ms > 0).all()
    tiny = json.loads(found.stdout)["methods"][0]["times"]["key"]
    own = samples.of_method(0)
    assert tiny["median_ms"] == pytest.approx(
        np.median((own.model_ms + own.post_ms)[own.distance == 0])
    )
    environment = stored.result.environment
    assert {
        "cpu",
        "flags",
        "governor",
        "load_average",
        "memory_mb",
        "torch_build",
        "git_revision",
        "gpu",
    } <= set(environment)


def test_comparison_shows_ratios_again(measured, tmp_path):
    folder, _ = measured
    (stored,) = store.find(folder)
    again = stored.result.model_copy(update={"id": "other"})
    store.write(tmp_path, again, stored.samples)
    shown = call("--compare", folder, tmp_path)
    assert shown.exit_code == 0, shown.output
    assert "the intervals overlap" in shown.stdout or "no interval" in shown.stdout
    said = json.loads(call("--compare", folder, tmp_path, "--json").stdout)
    assert len(said["measurements"]) == 2
    assert [each["overlap"] for each in said["ratios"]] == [
        each.overlap for each in ratios_again([stored, stored])
    ]


def test_ratios_of_methods_that_were_typed_otherwise_are_the_same(measured):
    (stored,) = store.find(measured[0])
    (ratio,) = (each for each in stored.result.ratios if each.kind == "gop")

    first, second = (
        str(in_full("methods", parse_variant(name))) for name in (ratio.first, ratio.second)
    )
    other = ratio.model_copy(update={"first": first, "second": second})
    assert {other.first, other.second} != {ratio.first, ratio.second}
    result = stored.result.model_copy(update={"id": "other", "ratios": [other]})
    (again,) = ratios_again([stored, store.StoredLatency(result, stored.path)])
    assert [name for name, _ in again.found] == [stored.result.id, "other"]
    assert {each.ratio for _, each in again.found} == {again.found[0][1].ratio}


def test_one_method_typed_in_two_ways_is_set_beside_itself_in_one_direction(measured):
    (stored,) = store.find(measured[0])
    ratio = next(each for each in stored.result.ratios if each.kind == "gop")
    typed = str(in_full("methods", parse_variant(ratio.first)))
    ways = [
        ratio.model_copy(update={"first": ratio.first, "second": typed}),
        ratio.model_copy(update={"first": typed, "second": ratio.first, "ratio": 1 / ratio.ratio}),
    ]
    one, two = (
        store.StoredLatency(
            stored.result.model_copy(update={"id": name, "ratios": [way]}), stored.path
        )
        for name, way in zip(("one", "two"), ways, strict=True)
    )
    (again,) = ratios_again([one, two])
    assert len({round(each.ratio, 9) for _, each in again.found}) == 1
    both = stored.result.model_copy(update={"ratios": ways})
    assert ratios_again([store.StoredLatency(both, stored.path)]) == []


def test_other_machines_and_sizes_are_refused_in_words(measured):
    (stored,) = store.find(measured[0])
    elsewhere = stored.result.model_copy(
        update={"environment": {**stored.result.environment, "cpu": "Another CPU"}}
    )
    with pytest.raises(UsageError, match=r"different machines .*Another CPU.* not ranked together"):
        check_comparable([stored, store.StoredLatency(elsewhere, stored.path)])
    larger = stored.result.model_copy(
        update={"settings": {**stored.result.settings, "size": [128, 96]}}
    )
    with pytest.raises(UsageError, match="measured differently"):
        check_comparable([stored, store.StoredLatency(larger, stored.path)])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-m", TINY), "Give --size"),
        (("--size", "64x96"), "at least one method"),
        (("-m", "arseg", "--size", "64x96", "--codec", "raw"), "needs motion vectors"),
        (("-m", TINY, "--size", "64x96", "--clip", "nowhere.mp4"), "no clip nowhere.mp4"),
        (("--compare", "-m", TINY), "measures nothing"),
        (("--compare", "nowhere"), "no measurement in nowhere"),
        (("-m", TINY, "--size", "64x96", "elsewhere"), "folders are for --compare"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(arguments, said, tmp_path):
    found = call(*arguments, "-o", tmp_path)
    assert said in str(found.exception)
    assert isinstance(found.exception, UsageError | DataError)
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


def alive(group):
    """Return whether any process of a group is there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_interruption_leaves_no_process_and_keeps_what_was_measured(tmp_path):
    command = [
        sys.executable,
        "bench.py",
        "latency",
        "-m",
        TINY,
        *QUICK[:8],
        "--rounds",
        "4000",
        "--seconds",
        "4000",
    ]
    process = subprocess.Popen([*command, "--threads", "1", "-o", tmp_path], cwd=ROOT,
    stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True,
                               start_new_session=True)  # fmt: skip
    assert wait_until(lambda: any((tmp_path / ".cache").glob("*")), 60), (
        "the stream was never encoded"
    )
    # so that it is at work, or warming up, or starting a process: none of these may leave anything
    # behind
    time.sleep(4)
    os.killpg(process.pid, signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in messages
    assert wait_until(lambda: not alive(process.pid), 10), "a process of the group is left"
    # it may have been stopped before anything was measured
    for stored in store.find(tmp_path) if any(tmp_path.glob(f"*/{store.RESULT}")) else []:
        assert stored.result.status == "interrupted"
        assert len(stored.samples)
