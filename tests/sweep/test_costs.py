"""The cost of a sweep before it is spent, against what its runs then took."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from tests.sweep.stored import write
from tests.typed import in_full
from vssbench.cli import bench
from vssbench.core.errors import UsageError
from vssbench.core.variant import parse_variant
from vssbench.cost.gmacs import count
from vssbench.run.measuring import measure
from vssbench.run.store import RunStore
from vssbench.sweep.costs import Costs
from vssbench.sweep.estimate import Estimator
from vssbench.sweep.planner import Planner
from vssbench.sweep.points import points, read

STREET = "synthetic[height=32,width=48,clips=1,frames=6]"


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Return a store with one run, the run, and experiments: its own, with another seed, of twice
    the frames, and of a method that has no run."""
    folder = tmp_path_factory.mktemp("costs")
    streets = [STREET, STREET.replace("frames=6", "frames=12")]
    wanted = points(
        read(
            None,
            {
                "method": ["bisenet", "pspnet"],
                "dataset": streets,
                "codec": "raw[gop=3]",
                "seed": [0, 1],
            },
        )
    )
    experiments = Planner(folder / "cache").experiments(wanted)
    chosen = {
        (each.method.name, each.frames(), each.seed): each for each in experiments
    }  # fmt: skip
    store = RunStore(folder / "runs")
    measure(chosen["bisenet", 6, 0], store, "test")
    (run,) = store.runs()
    return store, run, chosen


def test_the_time_is_that_of_past_runs_by_frames(measured):
    store, run, chosen = measured
    costs = Costs(store.runs(), "")
    item = run.measurement
    alike = costs.estimate([chosen["bisenet", 6, 1]])
    assert alike.hours * 3600 == pytest.approx(item.seconds)
    twice = costs.estimate([chosen["bisenet", 12, 0]])
    setup = item.spent["setup"]
    assert twice.hours * 3600 == pytest.approx(setup + 2 * (item.seconds - setup))
    assert (alike.scaled, twice.scaled) == (0, 0)
    size = sum(path.stat().st_size for path in run.path.iterdir())
    assert twice.results == pytest.approx(2 * size)


def test_a_method_without_a_run_is_scaled_by_its_gmacs(measured):
    store, run, chosen = measured
    other = chosen["pspnet", 6, 0]
    estimate = Costs(store.runs(), "").estimate([other])
    item = run.measurement
    setup = item.spent["setup"]
    gmacs = count(other.method, len(other.dataset.classes), 32, 48).gmacs_key
    working = (item.seconds - setup) * gmacs / item.gmacs_gop
    assert estimate.scaled == 1
    assert estimate.hours * 3600 == pytest.approx(setup + working)


def test_past_runs_are_found_however_method_and_codec_were_typed(measured):
    store, run, chosen = measured
    plain = chosen["bisenet", 6, 1]
    typed = replace(
        plain,
        method=in_full("methods", plain.method),
        codec_variant=in_full("codecs", plain.codec_variant),
    )
    assert (str(typed.method), str(typed.codec_variant)) != (
        str(plain.method),
        str(plain.codec_variant),
    )
    estimate = Costs(store.runs(), "").estimate([typed])
    assert (estimate.scaled, estimate.unknown_streams) == (0, 0)
    assert estimate.hours * 3600 == pytest.approx(run.measurement.seconds)
    assert Estimator(store.runs()).seconds(typed) == pytest.approx(run.measurement.seconds)


def test_a_stream_that_several_read_counts_once(measured):
    store, run, chosen = measured
    both = [chosen["bisenet", 6, 0], chosen["bisenet", 6, 1], chosen["pspnet", 6, 0]]
    estimate = Costs(store.runs(), "").estimate(both)
    assert estimate.streams == pytest.approx(run.stream.bits.sum() / 8)
    assert estimate.methods.keys() == {str(each.method) for each in both}
    another = replace(both[0], codec_variant=parse_variant("h264"))
    assert Costs(store.runs(), "").estimate([another]).unknown_streams == 1


def test_a_machine_without_a_run_is_said(measured):
    store, run, _ = measured
    cpu = run.measurement.machine["cpu"]
    assert Costs(store.runs(), cpu[:3].upper()).runs
    with pytest.raises(UsageError, match=f"'abacus': there are {cpu}"):
        Costs(store.runs(), "abacus")


def test_a_plan_takes_the_file_and_the_options_of_a_sweep(measured, tmp_path):
    """Also the number of threads, without which nothing that was measured is found."""
    store, _, _ = measured
    file, threads = tmp_path / "grid.toml", torch.get_num_threads()
    file.write_text(
        f'method = "pspnet"\ndataset = "{STREET}"\ncodec = "raw[gop=3]"\nseed = [0, 1]\n'
        f"threads = {threads}\nworkers = 8\n"
    )
    torch.set_num_threads(threads + 1)
    try:
        words = ["plan", file, "-m", "bisenet", "--runs", store.root]
        result = CliRunner().invoke(bench, [str(each) for each in words])
    finally:
        torch.set_num_threads(threads)
    assert result.exit_code == 0, result.stderr
    assert "experiments  2, of which 1 are to be run" in result.stdout
    assert "with 8 at a time" in result.stdout


def test_a_store_without_a_result_is_said_to_have_none(tmp_path):
    write(tmp_path, "failed", status="failed", reason="no")
    with pytest.raises(UsageError, match="holds no run that was measured"):
        Costs(RunStore(tmp_path).runs(), "")
