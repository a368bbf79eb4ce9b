"""Worker processes: a codec that crashes, hangs or takes all memory is one failed row; sweeps that
are killed or stopped go on, and lose and repeat nothing."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.sweep.cluster import ROOT
from tests.sweep.stored import torn
from vssbench.run.store import RunStore

#: kills of the long form: VSSBENCH_TEST_KILLS=50
KILLS = int(os.environ.get("VSSBENCH_TEST_KILLS", "4"))
#: what a store holds beside its runs
KEPT = {".cache", ".claims"}


def seeds(count: int) -> list[str]:
    return [text for seed in range(count) for text in ("--seed", str(seed))]


def workers(process) -> list[psutil.Process]:
    """Return the worker processes of a sweep that is under way, forks of its server."""
    try:
        children = psutil.Process(process.pid).children()
        return [worker for server in children for worker in server.children()]
    except psutil.Error:
        return []


def all_ended(processes: list[psutil.Process]) -> bool:
    """Return whether no process runs; one that nobody waits for may be there as a zombie."""
    left = []
    for each in processes:
        with suppress(psutil.Error):
            left += [each] * (each.is_running() and each.status() != psutil.STATUS_ZOMBIE)
    return not left


def family(process) -> list[psutil.Process]:
    """Return all that a sweep has started."""
    with suppress(psutil.Error):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def stamps(runs: Path) -> dict[str, tuple[int, int]]:
    """Return what tells the results that are done from any that replace them."""
    store = RunStore(runs)
    return {
        path.name: ((path / "result.json").stat().st_ino, (path / "result.json").stat().st_mtime_ns)
        for path in (runs.iterdir() if runs.exists() else ())
        if not path.name.startswith(".") and store.has(path.name)
    }


def come_so_far(process, runs: Path, enough: int) -> bool:
    """Return whether a sweep has that many results, or has ended."""
    return len(stamps(runs)) >= enough or process.poll() is not None


def test_whatever_a_codec_does_is_one_failed_row(sweeps):
    kinds = ("abort", "crash", "memory", "hang", "none")
    options = [text for kind in kinds for text in ("-c", f"faulty[kind={kind}]")]
    options += ["-c", "raw", "--workers", "2", "--memory-limit", "1.5G"]
    # the one that hangs by itself, so that no load makes another one late
    hanging = ("--only", "faulty[kind=hang]", "--time-limit", "10")
    status, said = sweeps.run(*options, *hanging)
    assert status == 1, said
    status, said = sweeps.run(*options)
    assert status == 1, said
    runs = {run.measurement.codec: run for run in RunStore(sweeps.runs).runs()}
    assert len(runs) == len(kinds) + 1
    for codec, reason in (
        ("abort", r"its process crashed (SIGABRT)"),
        ("crash", r"its process crashed (SIGSEGV)"),
        ("memory", "more than 1.5 GB"),
        ("hang", "took longer than 10 s"),
    ):
        run = runs[f"faulty[kind={codec}]"]
        assert run.measurement.status == "failed"
        assert reason in run.measurement.reason
        assert f"this codec was asked for {codec}" in run.log
    assert "Fatal Python error" in runs["faulty[kind=crash]"].log
    assert runs["faulty[kind=none]"].measurement.status == "done"
    assert "this codec was asked for none" in runs["faulty[kind=none]"].log
    assert runs["raw"].measurement.status == "done"
    assert "4 failed: --retry failed tries them again" in said
    # they stay failed until they are asked for again
    before = sweeps.asked()
    status, said = sweeps.run(*options)
    assert (status, sweeps.asked()) == (1, before)
    assert "failed before" in said
    status, said = sweeps.run(*options, "--only", "faulty[kind=abort]", "--retry", "failed")
    assert (status, Counter(sweeps.asked())["abort"]) == (1, 2)
    assert {path.name for path in sweeps.runs.iterdir() if path.name.startswith(".")} <= KEPT


@pytest.mark.parametrize("kind", ["elsewhere", "elsewhere-made", "elsewhere-said"])
def test_results_come_into_the_store_wherever_a_codec_goes(sweeps, kind):
    sweeps.runs = Path(os.path.relpath(sweeps.runs, ROOT))  # ROOT is where the command is run
    status, said = sweeps.run("-c", f"faulty[kind={kind}]", "-c", "raw", *seeds(2))
    assert status == 0, said
    assert len(RunStore(sweeps.notes.parent / "runs").runs()) == 4
    assert {path.name for path in sweeps.notes.parent.iterdir()} == {"runs", "notes.txt"}


def test_what_is_sound_of_a_damaged_result_is_kept(sweeps):
    measured = ("-c", "faulty", "--measure", "boundary")
    assert sweeps.run(*measured)[0] == 0
    (run,) = RunStore(sweeps.runs).runs()
    boundary = (run.path / "boundary.npz").read_bytes()
    torn(run.path / "stream.npz")
    # measured again beside another, without a latency of its own, nor the meter
    assert sweeps.run("-c", "faulty", "-c", "raw", "--workers", "2")[0] == 0
    again = RunStore(sweeps.runs).get(run.path.name)
    assert (again.fault, again.timed, again.measures) == ("", True, ("boundary",))
    assert (run.path / "boundary.npz").read_bytes() == boundary
    # and whatever fails, the result stays
    torn(run.path / "stream.npz")
    status, said = sweeps.run("-c", "faulty", "--memory-limit", "10M")
    assert (status, "1 failed" in said) == (1, True)
    left = RunStore(sweeps.runs).get(run.path.name)
    assert left.measurement.status == "done"
    assert left.confusion is not None


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("unmade", "cannot be made: KeyError"), ("unsaid", "no settings that identify it: TypeError")],
)
def test_a_codec_that_cannot_be_planned_is_said_in_words(sweeps, kind, reason):
    status, said = sweeps.run("-c", f"faulty[kind={kind}]")
    assert (status, "Traceback" in said) == (2, False)
    assert f"the codec 'faulty[kind={kind}]'" in said
    assert reason in said


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("abort-made", "its process crashed (SIGABRT)"),
        ("crash-said", "its process crashed (SIGSEGV)"),
        ("exit-made", "its process ended (exit status 3)"),
        ("hang-made", "it took longer than 2 s"),
    ],
)
def test_a_codec_that_ends_what_plans_with_it_is_said_in_words(sweeps, kind, reason):
    codecs = ("-c", "raw", "-c", f"faulty[kind={kind}]", "-c", "faulty")
    status, said = sweeps.run(*codecs, "--time-limit", "2", *seeds(2))
    assert (status, "Traceback" in said) == (2, False)
    assert f"by faulty[kind={kind}] cannot be planned: {reason}" in said
    assert f"the codec 'faulty[kind={kind}]'" in said
    assert ("the library says why" in said) == (kind == "abort-made")
    # the others can be measured without it
    assert sweeps.run(*codecs, "--only", "raw")[0] == 0


def test_a_result_whose_arrays_do_not_read_is_not_done(sweeps):
    assert sweeps.run("-c", "raw", *seeds(3))[0] == 0
    first, second, third = RunStore(sweeps.runs).runs()
    kept = (third.path / "result.json").stat().st_mtime_ns
    (first.path / "confusion.npz").unlink()
    torn(second.path / "latency.npz")
    _, said = sweeps.run("-c", "raw", *seeds(3), "--dry-run")
    assert said.count(" damaged ") == 2, said
    assert sweeps.run("-c", "raw", *seeds(3))[0] == 0
    assert [run.fault for run in RunStore(sweeps.runs).runs()] == [""] * 3
    assert (third.path / "result.json").stat().st_mtime_ns == kept


@pytest.mark.parametrize("count", [1, 4])
def test_killed_at_random_moments_nothing_is_lost_or_repeated(sweeps, wait, count):
    """SIGKILL of a worker or of a sweep, alone or one of several on a store, and the sweep begun
    again: 60 results, none of which was measured again once it was stored, and nothing else."""
    draw = random.Random(0)
    options = [*seeds(60), "-c", "faulty", "--workers", "2", "--retry", "failed"]
    processes, seen = [sweeps.start(*options) for _ in range(count)], {}
    for kill in range(KILLS):
        place = draw.randrange(count)
        process = processes[place]
        enough = len(stamps(sweeps.runs)) + draw.randrange(1 + 60 // KILLS)
        wait(partial(come_so_far, process, sweeps.runs, enough))
        time.sleep(draw.random() / 4)
        seen |= stamps(sweeps.runs)
        if process.poll() is None and kill % 2:
            living = workers(process)  # none as long as it only plans
            for each in draw.sample(living, min(1, len(living))):
                each.kill()
            continue
        started = family(process)
        if process.poll() is None:
            process.kill()
        process.communicate()
        wait(partial(all_ended, started))
        processes[place] = sweeps.start(*options)
    for process in processes:
        process.communicate(timeout=300)
    status, said = sweeps.run(*options)
    assert status == 0, said
    assert "60 of 60 experiments are done" in said
    after = stamps(sweeps.runs)
    assert len(after) == 60
    assert {name: after[name] for name in seen} == seen
    assert len(RunStore(sweeps.runs).runs()) == 60
    assert {path.name for path in sweeps.runs.iterdir()} - KEPT == set(after)


def test_a_lost_fork_server_loses_what_ran_and_others_are_measured(sweeps, wait):
    options = [*seeds(3), "-c", "faulty[kind=slow]", "--workers", "2"]
    process = sweeps.start(*options)
    wait(lambda: len(sweeps.asked()) == 2)
    (server,) = psutil.Process(process.pid).children()
    forks = workers(process)
    assert len({os.getsid(each.pid) for each in (server, *forks)}) == 3
    server.kill()
    said, _ = process.communicate()
    assert process.returncode == 1, said
    assert "1 of 3 experiments are done" in said
    assert said.count("failed: its process ended (exit status 1)") == 2
    assert all_ended(forks)
    assert len(stamps(sweeps.runs)) == 1


def test_sweeps_at_once_share_the_work(sweeps):
    options = [*seeds(12), "-c", "faulty"]
    processes = [sweeps.start(*options) for _ in range(4)]
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert len(sweeps.asked()) == len(stamps(sweeps.runs)) == 12


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_finishes_what_runs_and_twice_abandons_it(sweeps, wait, times):
    options = [*seeds(3), "-c", "faulty[kind=slow]"]
    process = sweeps.start(*options)
    wait(lambda: len(sweeps.asked()) == 1)
    for number in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3 * (number < times - 1))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in said
    assert len(stamps(sweeps.runs)) == 2 - times
    status, said = sweeps.run(*options)
    assert status == 0, said
    assert len(stamps(sweeps.runs)) == 3
    assert len(sweeps.asked()) == 2 + times
    assert {path.name for path in sweeps.runs.iterdir()} - KEPT == set(stamps(sweeps.runs))


def test_accuracy_in_parallel_and_latency_alone(sweeps):
    options = [*seeds(2), "-c", "raw", "--workers", "2"]
    assert sweeps.run(*options)[0] == 0
    runs = RunStore(sweeps.runs).runs()
    assert [run.timed for run in runs] == [False, False]
    before = stamps(sweeps.runs)
    assert sweeps.run(*options)[0] == 0
    assert stamps(sweeps.runs) == before
    status, said = sweeps.run(*options, "--latency")
    assert status == 0, said
    assert [run.timed for run in RunStore(sweeps.runs).runs()] == [True, True]
