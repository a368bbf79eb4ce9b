"""A powercap folder that is made up, as Linux shows the counters of processors."""

from __future__ import annotations

from pathlib import Path


def make(folder: Path) -> None:
    """Make two packages and a part of the first, which would count twice; and other kinds."""
    zones = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:1": "package-1"}
    for zone, name in {**zones, "intel-rapl:2": "psys", "dtpm": "dtpm"}.items():
        (folder / zone).mkdir()
        (folder / zone / "name").write_text(f"{name}\n")
        (folder / zone / "max_energy_range_uj").write_text("999999999\n")
        (folder / zone / "energy_uj").write_text("0\n")


def show(folder: Path, first: int, second: int) -> None:
    """Let the counters of the packages show so many microjoules."""
    (folder / "intel-rapl:0" / "energy_uj").write_text(f"{first}\n")
    (folder / "intel-rapl:1" / "energy_uj").write_text(f"{second}\n")
