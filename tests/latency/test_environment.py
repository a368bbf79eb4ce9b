"""The environment that is stored with times, and the part of it that makes a run's identity."""

import json
import os
from pathlib import Path

import cpuinfo
import psutil
import pytest

from vssbench.core import machine
from vssbench.core.machine import describe_environment, describe_machine, throttle_events

#: what changes from one minute to the next
FLEETING = {"load_average", "memory_available_mb", "gpu_state"}


@pytest.fixture
def processors(monkeypatch, tmp_path):
    """Ask anew for the processor, and by this file, which is not there yet, in Linux's place."""
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "_PROCESSORS", path)
    machine._cpu.cache_clear()
    yield path
    machine._cpu.cache_clear()


def test_environment_is_json_and_holds_what_times_depend_on():
    found = json.loads(json.dumps(describe_environment("cpu")))
    assert {
        "cpu",
        "flags",
        "threads",
        "governor",
        "memory_mb",
        "gpu",
        "torch",
        "torch_build",
        "git_revision",
    } <= set(found)
    assert set(found) >= FLEETING
    assert found["usable_cores"] >= 1
    assert "PyTorch built with" in found["torch_build"]["config"]


def entry_of_linux(path, name):
    if not Path(path).exists():
        pytest.skip("not Linux")
    lines = [line.split(":", 1) for line in Path(path).read_text().splitlines() if ":" in line]
    return next((value.strip() for key, value in lines if key.strip() == name), None)


def test_it_is_what_linux_says():
    """A run's identity holds the processor's name, so that it may not change with a library."""
    found = describe_environment("cpu")
    name = entry_of_linux("/proc/cpuinfo", "model name")
    if name is not None:
        assert found["cpu"] == name
    assert set((entry_of_linux("/proc/cpuinfo", "flags") or "").split()) <= set(found["flags"])
    total = entry_of_linux("/proc/meminfo", "MemTotal")
    assert found["memory_mb"] == int(total.split()[0]) // 1024
    assert 0 < found["memory_available_mb"] <= found["memory_mb"]
    assert found["usable_cores"] == len(os.sched_getaffinity(0))
    assert len(found["load_average"]) == 3


def test_processors_and_systems_that_the_libraries_do_not_know(monkeypatch, processors):
    def unknown():
        raise Exception("only works on X86 and some ARM")

    monkeypatch.setattr(cpuinfo, "get_cpu_info", unknown)
    monkeypatch.delattr(psutil.Process, "cpu_affinity", raising=False)
    found = describe_environment("cpu")
    assert found["cpu"]
    assert found["flags"] == []
    assert found["usable_cores"] == os.cpu_count()


@pytest.mark.parametrize("text", [None, "", "Features: fp asimd\n", "model name: \nflags: a\n"])
def test_a_processor_that_linux_does_not_name_is_told_by_the_library(monkeypatch, processors, text):
    if text is not None:
        processors.write_text(text, encoding="utf-8")
    monkeypatch.setattr(cpuinfo, "get_cpu_info", lambda: {"brand_raw": "A1", "flags": ["a", "b"]})
    found = describe_environment("cpu")
    assert (found["cpu"], found["flags"]) == ("A1", ["a", "b"])


def test_linux_is_asked_first_since_the_library_takes_a_second(monkeypatch, processors):
    text = "processor\t: 0\nmodel name\t: A: 2\nflags\t\t: sse avx\n\n"
    processors.write_text(text, encoding="utf-8")
    monkeypatch.setattr(cpuinfo, "get_cpu_info", lambda: pytest.fail("it is asked"))
    found = describe_environment("cpu")
    assert (found["cpu"], found["flags"]) == ("A: 2", ["avx", "sse"])


def test_identity_of_a_run_holds_nothing_fleeting():
    assert not set(describe_machine("cpu")) & FLEETING


def test_test_data_is_no_variable_that_times_depend_on(monkeypatch):
    monkeypatch.setenv("VSSBENCH_TEST_DATA", "somewhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    variables = describe_environment("cpu")["variables"]
    assert "VSSBENCH_TEST_DATA" not in variables
    assert variables["OMP_NUM_THREADS"] == "3"


def test_throttle_events_are_counted_or_none():
    assert throttle_events() >= 0
