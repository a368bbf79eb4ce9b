"""The environment that is stored with times, and the part of it that makes a run's identity."""

import json

from vssbench.core.machine import describe_environment, describe_machine, throttle_events

#: what changes from one minute to the next
FLEETING = {"load_average", "memory_available_mb", "gpu_state"}


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
