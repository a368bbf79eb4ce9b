"""Two real processes over gloo train as one does with the same global batch."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.training.spread import BEGINS, TRAININGS, held_out_scores, one_step, trained
from vssbench.core.errors import UsageError
from vssbench.nets.processes import largest_over_processes, mean_over_processes
from vssbench.training.distributed import World, join
from vssbench.weights.file import open_weights

ROOT = Path(__file__).resolve().parents[2]


def two_processes(what: str, file: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    return subprocess.run(
        [*command, "-m", "tests.training.spread", what, str(file)],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def spread(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """All trials of two processes: the folder of their results, and what each said."""
    folder = tmp_path_factory.mktemp("spread")
    done = two_processes("tried", folder)
    assert done.returncode == 0, done.stderr
    parts = (part.partition("\n") for part in done.stderr.split(BEGINS)[1:])
    return folder, {name: said for name, _, said in parts}


def test_gradients_statistics_and_losses_are_the_whole_batchs(spread):
    """Two processes come to the same as one process with the whole batch.

    All is in float64; batch normalisation is torch's own on one process; weights lie mostly on the
    first one's images.
    """
    folder, _ = spread
    two, whole = torch.load(folder / "step.pt", weights_only=True), one_step(World())
    assert two.keys() == whole.keys()
    for name, value in whole.items():
        assert torch.allclose(two[name], value, rtol=1e-9, atol=1e-12), name


@pytest.mark.parametrize("case", TRAININGS)
def test_the_loss_curve_is_that_of_one_process(case, spread, tmp_path):
    folder, said = spread
    history = _history(folder / f"{case}.safetensors")
    assert said[case].count("epoch 1:") == len({entry["phase"] for entry in history})
    whole = _history(trained(case, tmp_path / "one.safetensors", World())[0])
    assert len(history) == len(whole)
    for one, two in zip(whole, history, strict=True):
        assert one.keys() == two.keys()
        for name in one.keys() - {"seconds", "phase", "epoch"}:
            assert two[name] == pytest.approx(one[name], rel=1e-4, abs=1e-6), (name, one, two)


def test_held_out_scores_are_those_of_one_process(spread):
    """The confusion matrix is summed over the processes, to the last pixel."""
    folder, _ = spread
    two, whole = torch.load(folder / "validated.pt", weights_only=True), held_out_scores(World())
    assert list(whole) == ["task", "flow", "joint"]
    assert two == whole


def _history(path: Path) -> list[dict]:
    return open_weights(path).training["history"]


def test_stages_hand_over_to_every_process(spread):
    folder, _ = spread
    files = [
        open_weights(folder / f"stages{part}.safetensors") for part in ("-keep1", "-keep0.75", "")
    ]
    assert [file.metadata["keep"] for file in files] == ["1", "0.75", "0.5"]
    for before, after in itertools.pairwise(files):
        assert [entry["sha256"] for entry in after.training["initial"]] == [before.sha256]


def test_an_error_of_one_process_ends_all(tmp_path):
    started = time.monotonic()
    done = two_processes("failing", tmp_path / "w.safetensors")
    assert done.returncode != 0
    assert "the file is gone" in done.stderr
    assert time.monotonic() - started < 120
    assert not list(tmp_path.iterdir())


def test_one_process_is_left_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join("cpu") == (World(0, 1), "cpu")
    count = torch.tensor(5.0)
    assert mean_over_processes(count) is count
    assert largest_over_processes(torch.tensor([3.0, 9.0, 5.0]), 2) == 5


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "99")
    with pytest.raises(UsageError, match="start one process a GPU"):
        join("cuda")
