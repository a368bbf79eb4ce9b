"""Hostile CSV and TOML: published numbers and costs, the grid of a sweep."""

from __future__ import annotations

import mmap
import random
from pathlib import Path

import pytest

from tests.hostile.conftest import Campaign
from tests.hostile.mutators import of_text
from vssbench.core.errors import DataError, UsageError
from vssbench.core.reading import read_table
from vssbench.cost import published
from vssbench.report.paper import numbers
from vssbench.sweep import points

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
TABLES = ("numbers.csv", "measurements.csv", "sources.csv")
#: lines of each that are mutated: what reads slowly says no more
LINES = 12
SWEEP = b"""dataset = ["synthetic", "camvid[split=val]"]
codec = ["h264[bitrate=1M]", "raw"]
method = ["pspnet", "warp[width=0.5]"]
gop = [4, 12]
seed = [0]
precision = "fp32"
workers = 2
time-limit = 60
memory-limit = "2G"
[[include]]
method = ["bisenet"]
[[exclude]]
method = ["warp"]
codec = ["raw"]
"""


def head(name: str) -> bytes:
    return b"".join((PUBLISHED / name).read_bytes().splitlines(keepends=True)[:LINES])


def test_mutated_tables(campaign: Campaign, tmp_path: Path) -> None:
    samples = {name: head(name) for name in (*TABLES, "costs.csv")}
    # what the first lines refer to is there
    whole = {name: (PUBLISHED / name).read_bytes() for name in TABLES[1:]}

    def take(rng: random.Random) -> None:
        name = rng.choice(sorted(samples))
        for each in TABLES:
            (tmp_path / each).write_bytes(whole.get(each, samples[each]))
        content = whole[name] if name in whole else samples[name]
        (tmp_path / name).write_bytes(of_text(content, rng))
        if name == "costs.csv":
            published.read(tmp_path / name)
        else:
            numbers.read.__wrapped__(tmp_path)

    for seed in campaign.seeds(0.04):
        campaign.attempt(seed, take)
    campaign.check()
    assert campaign.refused > 0
    assert campaign.sound > 0


def test_mutated_sweeps(campaign: Campaign, tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"

    def take(rng: random.Random) -> None:
        path.write_bytes(of_text(SWEEP, rng))
        points.points(points.read(path))

    for seed in campaign.seeds(0.15):
        campaign.attempt(seed, take)
    campaign.check()
    assert campaign.refused > 0
    assert campaign.sound > 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed = [" + b"1" * 5000 + b"]", "is no TOML"),
        (b"seed = " + b"[" * 20_000, "is no TOML"),
        (b"method = ['\xff']", "is no TOML"),
    ],
)
def test_a_sweep_that_does_not_parse_is_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "sweep.toml").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        points.read(tmp_path / "sweep.toml")


def test_a_grid_is_bounded_before_it_is_made(tmp_path: Path) -> None:
    seeds = ", ".join(map(str, range(1000)))
    path = tmp_path / "sweep.toml"
    path.write_text(f"seed = [{seeds}]\ngop = [{seeds.removeprefix('0, ')}]\n")
    with pytest.raises(UsageError, match=r"VSSBENCH_MAX_EXPERIMENTS=\d+"):
        points.points(points.read(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('a,b\n1,2\n"3', "is no CSV"),
        ("a,b\n1," + "x" * 200_000, "is no CSV"),
        ("a,b\n1\n", "line 2: expected 2 cells"),
        ("a,b\n1,2,3\n", "line 2: expected 2 cells"),
        ("a,a\n1,2\n", "has the columns a, a"),
        ("c\n1\n", "has the columns c; expected a, b"),
        ("", "has the columns ; expected a, b"),
    ],
)
def test_a_table_that_does_not_read_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "table.csv", ("a", "b"))


def test_a_planted_memory_bomb_is_caught(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(type(campaign).check.__globals__, "MOST_MIB", 32)

    def planted(rng: random.Random) -> None:
        # pages of its own: those that the heap keeps are this process's already
        with mmap.mmap(-1, 64 << 20) as pages:
            for place in range(0, len(pages), mmap.PAGESIZE):
                pages[place] = 1

    campaign.attempt(0, planted)
    with pytest.raises(pytest.fail.Exception, match="MiB of memory; at most"):
        campaign.check()
