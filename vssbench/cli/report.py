"""``bench.py report``: the results as one HTML page that works offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vssbench.cli.choice import Choice, choice_options, chosen_rows, times_option
from vssbench.cli.options import Whole, data_root_option, force_option, read_runs_option

if TYPE_CHECKING:
    from vssbench.report.page.content import Content
    from vssbench.report.page.pictures import Pictures
    from vssbench.run.store import RunStore


@click.command()
@read_runs_option
@choice_options
@times_option
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="The page.",
)
@click.option("--title", help="Title of the page; the folder of the results by default.")
@click.option(
    "--pictures",
    type=Whole(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Segment the N worst frames of each set of conditions again and show them, with a loop of "
    "predictions.",
)
@click.option(
    "--distance",
    "distances",
    type=Whole(0),
    multiple=True,
    metavar="D",
    help="With --pictures: frames at this distance from the keyframe; the greatest by default. "
    "Repeatable.",
)
@data_root_option
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    multiple=True,
    help="With --pictures: weights of the runs that are not shipped. Repeatable.",
)
@force_option
def report(
    runs: Path,
    choice: Choice,
    out: Path,
    title: str | None,
    pictures: int,
    force: bool,
    **more: Any,
) -> None:
    """Write the results as one HTML page that works offline: verdicts, tables, plots, frames.

    For example:

    \b
        python bench.py report -o report.html
        python bench.py report --pictures 2 -d camvid --data-root ~/CamVid -o camvid.html
    """
    from datetime import datetime

    from vssbench.core.errors import UsageError
    from vssbench.core.files import write_text
    from vssbench.core.naming import called
    from vssbench.core.outputs import check_output
    from vssbench.core.progress import messages
    from vssbench.core.shown import encoded
    from vssbench.report.page.content import content
    from vssbench.report.page.document import render
    from vssbench.run.store import RunStore

    if more["distances"] and not pictures:
        raise UsageError("--distance chooses frames to show: add --pictures N")
    data_root: Path | None = more["data_root"]
    times: Path | None = more.pop("times")
    inputs = (
        called(runs),
        *more["weights"],
        *(each for each in (data_root, times) if each is not None),
    )
    check_output(out, inputs, force)
    found, remark = chosen_rows(runs, choice, times)
    store = RunStore(runs)
    page = content(store, found)
    drawn = _drawn(store, page, pictures, **more) if pictures else None
    html = render(page, title or f"Results of {called(runs)}", datetime.now(), drawn)
    write_text(out, html)
    for note in () if drawn is None else drawn.notes:
        messages().print(note)
    if remark:
        messages().print(remark)
    messages().print(f"wrote {out} ({len(encoded(html)) / 1e6:.1f} MB)")
    click.echo(out)


def _drawn(
    store: RunStore,
    page: Content,
    count: int,
    distances: tuple[int, ...],
    data_root: Path | None,
    weights: tuple[Path, ...],
) -> Pictures:
    """Draw the pictures; streams are taken from the store's cache where it has one."""
    from vssbench.core import hidden
    from vssbench.core.progress import track
    from vssbench.report.page.replay import Sources
    from vssbench.report.page.scenes import Wish, pictures

    with hidden.temporary() as folder, track("pictures", len(page.shown)) as tracker:
        cache = store.root / ".cache"
        sources = Sources(data_root, weights, cache if cache.is_dir() else folder)
        wish = Wish(count, distances)
        return pictures(store, page, wish, sources, lambda name: tracker.advance(1, name))
