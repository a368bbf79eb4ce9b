"""Counters of energy, by a powercap folder and an NVML that are made up."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.powercap import make, show
from vssbench.core import energy
from vssbench.core.energy import Packages, counter
from vssbench.run.recorder import Recorder


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make(tmp_path)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    return tmp_path


def test_packages_are_added_and_may_begin_anew(powercap: Path) -> None:
    show(powercap, 999_000_000, 5_000_000)
    found = counter("cpu")
    assert isinstance(found, Packages)
    before = found.read()
    show(powercap, 1_000_000, 7_000_000)  # the first has passed its greatest value
    assert found.joules(before, found.read()) == pytest.approx(2.0 + 2.0)


def test_without_a_counter_the_reason_is_said(
    powercap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(counter: Packages) -> tuple[float, ...]:
        raise PermissionError

    monkeypatch.setattr(Packages, "read", refused)
    assert "energy_uj may be read by root alone" in str(counter("cpu"))
    (powercap / "intel-rapl:1" / "max_energy_range_uj").unlink()
    assert str(counter("cpu")).startswith("not measured: FileNotFoundError")
    monkeypatch.setattr(energy, "POWERCAP", powercap / "absent")
    assert str(counter("cpu")).startswith("not measured: no counter of a processor in ")


def test_a_gpu_is_asked_through_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    shown = iter([0, 1000, 4500])
    nvml: Any = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(shown),
    )
    properties = SimpleNamespace(uuid="1-2")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert counter("cuda") == "not measured: NVML needs the package nvidia-ml-py"
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    found = counter("cuda:0")
    assert not isinstance(found, str)
    assert found.joules(found.read(), found.read()) == 3.5


def test_a_run_has_the_mean_of_each_kind_of_frame(powercap: Path) -> None:
    recorder = Recorder(2, [0], counter=counter("cpu"))
    used = 0
    for key, joules in ((True, 900), (False, 1), (False, 3), (True, 8)):
        with recorder.metered(key):
            used += joules * 1_000_000
            show(powercap, used, 0)
        recorder.times.append((0 if key else 1, 0.0, 0.0, 0.0))
    # without the first, which holds the warm-up
    assert recorder.energy(4) == {
        "joules_key": 8.0,
        "joules_nonkey": 2.0,
        "joules_gop": 3.5,
        "energy": "processor packages (RAPL)",
    }
    assert recorder.energy(1)["joules_gop"] == 8.0
    without = Recorder(2, [0], counter="not measured: none")
    with without.metered(True):
        pass
    assert without.energy(4) == {
        "joules_key": None,
        "joules_nonkey": None,
        "joules_gop": None,
        "energy": "not measured: none",
    }
