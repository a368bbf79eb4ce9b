"""The runs of a page: none is lost between its file and the folder in which they are worked on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweep.stored import write
from tools.reference_store import compare, put_away, take_out
from vssbench.core.errors import DataError
from vssbench.run.store import RunStore


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return a page's folder with two runs."""
    page = tmp_path / "page"
    write(page / "runs", "good", value=1, method="good")
    write(page / "runs", "poor", value=2, method="poor")
    return page


def test_the_runs_of_a_page_lie_in_one_file_and_are_taken_out_to_be_worked_on(out: Path) -> None:
    (out / "runs" / ".cache").mkdir()
    put_away(out)
    assert [path.name for path in out.iterdir()] == ["runs.tar.xz"]
    before = (out / "runs.tar.xz").read_bytes()
    take_out(out)
    assert RunStore(out / "runs").ids() == ["good", "poor"]
    write(out / "runs", "new", method="new")
    take_out(out)  # as a call does that goes on with another's work
    assert RunStore(out / "runs").ids() == ["good", "new", "poor"]
    put_away(out)
    assert (out / "runs.tar.xz").read_bytes() != before


def test_runs_that_are_put_away_are_never_fewer(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_away(out)
    whole = (out / "runs.tar.xz").read_bytes()

    def interrupted(sources: list[Path], target: RunStore) -> None:
        write(target.root, "good", method="good")
        raise KeyboardInterrupt

    monkeypatch.setattr("tools.reference_store.merge", interrupted)
    with pytest.raises(KeyboardInterrupt):
        take_out(out)
    assert [path.name for path in out.iterdir()] == ["runs.tar.xz"]
    monkeypatch.undo()
    take_out(out)
    (out / "runs" / "poor" / "result.json").write_text("{")
    with pytest.raises(DataError, match="does not read"):
        put_away(out)
    assert (out / "runs" / "good").is_dir()
    assert (out / "runs.tar.xz").read_bytes() == whole
    put_away(out / "elsewhere")
    assert not (out / "elsewhere").exists()


def test_runs_that_are_made_again_are_compared(out: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    write(again, "x", value=1, method="good", version="3")
    write(again, "y", value=3, method="poor")
    write(again, "z", value=3, method="new")
    said = list(compare(RunStore(again), RunStore(out / "runs")))
    assert said == [
        "1 of 2 runs have the stored confusion matrices",
        "  another result: poor on camvid under h264[gop=12]",
    ]
