"""Figures over scales and GOPs, of every frame's time and of every class, and intervals in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

from tests.report.test_plots import covered
from tests.report.test_scores import record, write
from vssbench.cli import bench
from vssbench.core.errors import UsageError
from vssbench.metrics.bootstrap import Intervals, intervals
from vssbench.metrics.draws import Interval
from vssbench.metrics.resampling import Resampling
from vssbench.report import frame_times, heat_map, plots, series
from vssbench.report.rows import Row, rows
from vssbench.report.spread import MOST_BANDS, spread_of
from vssbench.run.records import LatencyRecord
from vssbench.run.store import RunStore

MakeRow = Callable[..., Row]


@pytest.fixture
def families(make_row: MakeRow) -> list[Row]:
    """Two families at three scales, and a method without one."""
    made = [
        make_row(
            f"{name}{scale}-PSP18", run_id=f"{name}{scale}", method=f"{method}[scale={scale}]",
            miou=base + scale / 10, gmacs_gop=cost * scale**2,
        )
        for name, method, base, cost in (("AR", "arseg", 0.64, 200.0), ("", "pspnet", 0.60, 309.0))
        for scale in (0.3, 0.5, 0.7)
    ]  # fmt: skip
    return [*made, make_row("Other", run_id="other", method="elsewhere")]


def spread(its: list[Row], half: float = 0.01) -> dict[str, Intervals]:
    """An interval of so much on both sides of each mIoU and mIoU_d."""
    return {
        row["run_id"]: Intervals(
            Interval(row["miou"], row["miou"] - half, row["miou"] + half),
            tuple(
                None if value is None else Interval(value, value - half, value + half)
                for value in row["miou_by_distance"]
            ),
            Resampling("blocks", 9, 9, 1, 0.0, 1.0, 9, 0, 9),
        )
        for row in its
    }


def legend(figure: Figure) -> str:
    """All words of a figure's legends, on one line."""
    return " ".join(
        text.get_text().replace("\n", " ")
        for its in figure.legends
        for text in (*its.get_texts(), its.get_title())
    )


def test_families_over_their_scale(
    families: list[Row], tmp_path: Path, figures: list[Figure]
) -> None:
    left_out = series.scale(families, tmp_path / "a.png", spread=spread(families))
    assert left_out == [
        "Other on camvid through hevc[bitrate=3M] (no other scale of it was measured)"
    ]
    (axes,) = figures[0].axes
    lines = [line.get_xydata() for line in axes.lines if len(line.get_xdata()) == 3]  # type: ignore[arg-type]
    assert np.asarray(lines)[:, :, 0].tolist() == [[0.3, 0.5, 0.7]] * 2
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.3", "0.5", "0.7"]
    assert len(axes.collections) == 6  # a bar each
    assert "AR-PSP18" in legend(figures[0])
    assert "Bars: 95 % intervals" in legend(figures[0])
    assert covered(figures[0]) == []


def test_families_over_their_gmacs(
    families: list[Row], tmp_path: Path, figures: list[Figure]
) -> None:
    series.scale(families, tmp_path / "a.png", "gmacs")
    (axes,) = figures[0].axes
    assert (
        sorted(text.get_text() for text in axes.texts) == ["0.3x"] * 2 + ["0.5x"] * 2 + ["0.7x"] * 2
    )
    assert axes.get_xlabel() == "GMACs per frame (mean over a GOP)"
    assert "Bars" not in legend(figures[0])
    assert covered(figures[0]) == []


def test_the_accuracy_over_the_gop(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    its = [
        make_row(name, run_id=f"{name}{gop}", method=name, gop=gop, miou=0.7 - gop / 1000,
        codec=f"hevc[bitrate=3M,gop={gop}]", bitrate_kbps=3000.0 + gop)
        for name in ("a", "b")
        for gop in (30, 4, 12)
    ]  # fmt: skip
    once = make_row("once", run_id="once", method="once")
    left_out = series.gop([*its, once], tmp_path / "a.png", spread(its))
    assert left_out == ["once on camvid through hevc[bitrate=3M] (no other GOP of it was measured)"]
    (axes,) = figures[0].axes
    lines = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 3]  # type: ignore[arg-type]
    assert np.asarray(lines).tolist() == [[4, 12, 30]] * 2
    assert "GOP 4 to 30" in axes.get_title()
    with pytest.raises(UsageError, match=r"nothing to draw: once .*no other GOP"):
        series.gop([once], tmp_path / "b.png")


def test_bars_that_would_lie_on_each_other_are_left_out(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    for methods, bars in (("abcd", 8), ("abcde", 0)):
        its = [
            make_row(name, run_id=f"{name}{gop}", method=name, gop=gop)
            for name in methods
            for gop in (4, 12)
        ]
        series.gop(its, tmp_path / f"{methods}.png", spread(its))
        assert len(figures[-1].axes[0].collections) == bars
        said = "Bars: 95 % intervals" if bars else "drawn for at most 4 methods in a panel"
        assert said in legend(figures[-1])


def times(key: float, other: float) -> LatencyRecord:
    """Two GOPs of four frames: decoding 3 ms, motion 4 ms where it is no keyframe, and a
    network."""
    distances = np.arange(8) % 4
    first = distances == 0
    return LatencyRecord(
        distances, first, np.full(8, 3.0), np.where(first, np.nan, 4.0),
        np.where(first, key, other),
    )  # fmt: skip


def test_every_frames_time_and_its_deadlines(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    its = [make_row(name, run_id=name, method=name, gop=4) for name in ("a", "b", "c")]
    known = {"a": times(60, 20), "b": times(33, 33)}
    left_out = frame_times.latency(its, tmp_path / "a.png", known)
    assert left_out == ["c on camvid through hevc[bitrate=3M] (no times of frames)"]
    (axes,) = figures[0].axes
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 8]  # type: ignore[arg-type]
    assert np.asarray(drawn[0].get_ydata()).tolist() == [63, 27, 27, 27] * 2
    assert [text.get_text() for text in axes.texts] == ["25 fps", "30 fps"]
    levels = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"]  # type: ignore[index]
    assert levels == [40, pytest.approx(33.33, abs=0.01)]
    assert "a: late 25 % at 25 fps and 25 % at 30 fps" in legend(figures[0])
    assert "b: late 0 % at 25 fps and 100 % at 30 fps" in legend(figures[0])
    assert covered(figures[0]) == []


def test_times_of_two_machines_stand_apart(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    its = [
        make_row("a", run_id=name, method="a", machine=name, miou=0.7) for name in ("one", "two")
    ]
    frame_times.latency(its, tmp_path / "a.png", {"one": times(60, 20), "two": times(9, 9)})
    plots.pareto(its, tmp_path / "b.png", "latency")
    plots.pareto(its, tmp_path / "c.png", "params")
    assert [len(figure.axes) for figure in figures] == [2, 2, 1]
    assert "one" in figures[0].axes[0].get_title()
    assert figures[1].axes[0].get_xlabel() == "network, ms per frame (mean over a GOP)"
    assert figures[2].axes[0].get_xlabel() == "parameters (millions)"


def test_a_latency_is_the_mean_over_a_gop(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    row = make_row(latency_key_ms=60.0, latency_nonkey_ms=20.0, gop=4)
    unknown = make_row("x", run_id="x", latency_key_ms=None, latency_nonkey_ms=None)
    assert plots.pareto([row, unknown], tmp_path / "a.png", "latency") == [
        "x on camvid through hevc[bitrate=3M] (no latency)"
    ]
    assert figures[0].axes[0].lines[0].get_xdata() == [30]


def test_bars_and_bands_are_the_intervals(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    its = [make_row(f"m{n}", run_id=f"m{n}", method=f"m{n}") for n in range(MOST_BANDS + 1)]
    plots.pareto(its[:1], tmp_path / "a.png", "gmacs", spread(its))
    (bar,) = figures[0].axes[0].collections
    ((start, end),) = bar.get_segments()  # type: ignore[attr-defined]
    assert (start[1], end[1]) == (pytest.approx(69.08), pytest.approx(71.08))
    plots.distance(its[:2], tmp_path / "b.png", spread(its))
    assert len(figures[1].axes[0].collections) == 2
    assert "Bands: 95 % intervals" in legend(figures[1])
    plots.distance(its, tmp_path / "c.png", spread(its))
    assert len(figures[2].axes[0].collections) == 0
    assert f"drawn for at most {MOST_BANDS} methods" in legend(figures[2])


def test_an_interval_that_is_not_drawn_is_not_promised(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    its = [make_row(f"m{n}", run_id=f"m{n}", method=f"m{n}") for n in range(2)]
    none = {
        name: Intervals(each.miou, (None,) * len(each.by_distance), each.resampling)
        for name, each in spread(its).items()
    }
    plots.distance(its, tmp_path / "a.png", none)
    assert "Bands" not in legend(figures[0])
    assert "No 95 % interval, for too few labelled frames" in legend(figures[0])
    plots.pareto(its, tmp_path / "b.png", "gmacs", spread(its[:1]))
    assert "Bars: 95 % intervals" in legend(figures[1])
    assert "matrices of them: m1." in legend(figures[1])
    plots.pareto(its, tmp_path / "c.png")
    assert "interval" not in legend(figures[2])


def test_rows_of_a_method_that_are_left_out_for_one_reason_are_one_line(
    make_row: MakeRow, tmp_path: Path
) -> None:
    def under(name: str, streams: int) -> list[Row]:
        return [
            make_row(name, run_id=f"{name}{n}", method=name, codec=f"h264[bitrate={n}M]", miou=None)
            for n in range(1, streams + 1)
        ]

    its = [*under("many", 5), *under("few", 2), make_row("drawn", run_id="drawn", method="drawn")]
    said = plots.pareto(its, tmp_path / "a.png")
    assert [line.partition(" on ")[0] for line in said] == ["many", "few", "few"]
    assert "h264[bitrate=1M] and 4 more of it (" in said[0]


def test_an_ending_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    where = ["--runs", str(tmp_path / "none"), "-o", str(tmp_path / "a.jpg")]
    done = CliRunner().invoke(bench, ["plot", "pareto", *where])
    assert "expected a name that ends in .png" in str(done.exception)


def test_the_intervals_are_the_bootstraps(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    write(store, "good", record(0.1, 1), 9.0)
    write(store, "short", record(0.1, 1, 4), 9.0)
    write(store, "failed", None, 9.0, status="failed", reason="r")
    assert spread_of(store, rows(store.runs())) == {"good": intervals(record(0.1, 1))}


def test_the_heat_map_of_classes(make_row: MakeRow, tmp_path: Path, figures: list[Figure]) -> None:
    its = [
        make_row("a", run_id="a", method="a", miou=0.7, per_class={"road": 0.9, "sky": None}),
        make_row("b", run_id="b", method="b", miou=0.8, per_class={"road": 0.5, "sky": 1.0}),
    ]
    assert heat_map.classes(its, tmp_path / "a.png") == []
    axes = figures[0].axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["mIoU", "road", "sky"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["b", "a"]
    cells = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(cells, [[80, 70], [50, 90], [100, np.nan]])
    assert [text.get_text() for text in axes.texts] == ["80", "70", "50", "90", "100"]
    many = {str(number): 0.5 for number in range(400)}
    with pytest.raises(UsageError, match="do not fit a figure: choose fewer by -d and -c"):
        heat_map.classes([its[0] | {"per_class": many}], tmp_path / "b.png")


def test_a_title_beside_long_class_names_is_in_the_figure(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    classes = {"a_class_of_a_name_that_takes_half_of_the_width": 0.5, "b": 0.4}
    row = make_row("a", per_class=classes, codec_rate="300 kb/s", dataset_title="A long title")
    heat_map.classes([row], tmp_path / "a.png")
    figure = figures[0]
    box = figure.axes[0].title.get_window_extent()
    assert box.width > figure.axes[0].bbox.width
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("rate", "--x", "params"), "--x params: plot rate takes no --x; plot pareto and scale do"),
        (("scale", "--x", "params"), "plot scale takes --x scale or gmacs"),
        (("pareto", "--x", "scale"), "plot pareto takes --x gmacs or latency or params"),
    ],
)
def test_an_axis_that_a_plot_has_not(tmp_path: Path, given: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(bench, ["plot", *given, "-o", str(tmp_path / "a.png")])
    assert said in str(done.exception)


def test_the_command_draws_every_kind(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    for scale in (0.3, 0.5):
        for gop in (4, 8):
            name = f"arseg[scale={scale}]"
            write(
                store, name, record(0.3 - scale / 5, gop), 100 * scale, run_id=f"{scale}{gop}",
                display=f"AR{scale}", gop=gop, codec=f"h264[gop={gop}]", params=1000,
            )  # fmt: skip
    runner = CliRunner()
    for kind in ("pareto", "distance", "scale", "gop", "classes", "rate"):
        out = tmp_path / f"{kind}.svg"
        done = runner.invoke(bench, ["plot", kind, "--runs", str(store.root), "-o", str(out)])
        assert done.exit_code == 0, done.output
        words = out.read_text(encoding="utf-8")
        assert words.startswith("<?xml")
        assert ("95 % intervals" in words.replace("<!--", "")) == (
            kind in ("pareto", "distance", "scale", "gop")
        ), kind
    done = runner.invoke(
        bench, ["plot", "latency", "--runs", str(store.root), "-o", str(tmp_path / "x.svg")]
    )
    assert "no times of frames" in str(done.exception)
