"""``bench.py data``: what of the datasets is there, frames from raw videos, checks of
everything."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from vssbench.cli.options import Whole, data_root_option
from vssbench.core.program import program

if TYPE_CHECKING:
    from vssbench.data.status import Status

#: most faults printed; all are counted
_SHOWN = 200
#: columns of a protocol's name
_PROTOCOL = 14


@click.group()
def data() -> None:
    """Look at datasets: what is there, what is missing, what can be run; take frames from raw
    videos; check every file.

    For example:

    \b
        python bench.py data status --data-root ~/data
        python bench.py data prepare camvid --data-root ~/CamVid --videos ~/CamVid/videos
        python bench.py data verify cityscapes --data-root ~/Cityscapes
    """


@data.command("status")
@click.argument("name", required=False)
@data_root_option
@click.option(
    "--gop",
    type=Whole(1),
    default=12,
    show_default=True,
    help="Frames of a GOP, for what can be run.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def data_status(name: str | None, data_root: Path | None, gop: int, as_json: bool) -> None:
    """Say what a folder holds of a dataset, what is missing and where to get it, and which
    protocols can run on which split.

    Only names of files are looked at. Without NAME, --data-root may hold several datasets, each in
    a folder; without --data-root, all datasets are listed with where to get them. For example:

    \b
        python bench.py data status camvid --data-root ~/CamVid
    """
    from vssbench.core import registry
    from vssbench.core.errors import DataError
    from vssbench.core.home import expanded
    from vssbench.core.variant import parse_variant
    from vssbench.data.status import find, status

    plain = None if name is None else parse_variant(name).name
    if plain is not None:
        registry.find("datasets", plain)
    if data_root is None:
        names = [plain] if plain is not None else list(registry.plugins("datasets"))
        statuses = [status(each, None, gop) for each in names]
    else:
        places = find(expanded(data_root), plain)
        if not places:
            raise DataError(
                f"{data_root} holds no dataset that is known, nor do the folders in it: expected "
                f"one of {', '.join(registry.plugins('datasets'))}; {program()} data status "
                "says where to get them"
            )
        statuses = [status(each, root, gop) for each, root in places]
    if as_json:
        click.echo(json.dumps([each.record() for each in statuses], indent=2))
        return
    click.echo("\n\n".join(_text(each, gop) for each in statuses))


def _text(its: Status, gop: int) -> str:
    """Return a dataset's status for the terminal."""
    lines = [f"{its.name} ({its.title})" + (f" in {its.root}" if its.root is not None else "")]
    if its.parts:
        width = max(len(part.name) for part in its.parts)
        lines += ["", "What is there:"]
        for part in its.parts:
            remedy = f"; {part.remedy}" if part.remedy else ""
            lines.append(f"  {part.name:<{width}}  {part.state:<8}  {part.found}{remedy}")
    if its.offers:
        lines += ["", f"What can be run (at a GOP of {gop}):"]
        for offer in its.offers:
            lines.append(f"  {offer.variant}: {offer.clips or 'no: ' + offer.refused}")
            lines += [
                f"    {answer.protocol:<{_PROTOCOL}}  {'yes' if answer.possible else 'no '}  "
                f"{answer.words}"
                for answer in offer.answers
            ]
    if its.sources:
        lines += ["", "Where to get it:"]
        lines += [f"  {source.what}: {source.address} ({source.terms})" for source in its.sources]
    if its.root is None and not its.offers:
        lines += ["", f"In words: {its.where}"]
    return "\n".join(lines)


@data.command("prepare")
@click.argument("name")
@data_root_option
@click.option(
    "--videos",
    type=click.Path(path_type=Path),
    help="Folder of the raw videos; by default the data's own folder.",
)
@click.option(
    "--split",
    "splits",
    multiple=True,
    help="Only around the labels of this split. Repeatable; all by default.",
)
@click.option(
    "--before",
    type=Whole(0),
    default=11,
    show_default=True,
    help="Frames taken before each label.",
)
@click.option(
    "--after",
    type=Whole(0),
    default=11,
    show_default=True,
    help="Frames taken after each label.",
)
def data_prepare(
    name: str,
    data_root: Path | None,
    videos: Path | None,
    splits: tuple[str, ...],
    before: int,
    after: int,
) -> None:
    """Take the frames around each label from a dataset's raw videos, and check them against the
    stills.

    CamVid's go to DIR/sequence, a PNG a frame at the stills' size, and camvid[sequence=on] reads
    them.
    Frames that are there already are not taken again, so that an interrupted run goes on where it
    stopped. With 11 frames before and after, every-distance and pairs can run at a GOP of 12. For
    example:

    \b
        python bench.py data prepare camvid --data-root ~/CamVid --videos ~/CamVid/videos \\
            --split test
    """
    from vssbench.core import registry
    from vssbench.core.dataset import Dataset, Preparation
    from vssbench.core.errors import DataError, UsageError
    from vssbench.core.home import expanded
    from vssbench.core.progress import messages

    dataset: type[Dataset] = registry.load("datasets", name)
    if not dataset.prepared_from:
        raise UsageError(
            f"there is nothing to prepare for {name!r}: it is used as it is; data are prepared for "
            f"{', '.join(_prepared()) or 'no dataset'}"
        )
    if data_root is None:
        raise DataError(
            "data prepare needs the labelled stills: pass --data-root DIR, as for a run"
        )
    order = Preparation(
        expanded(data_root),
        None if videos is None else expanded(videos),
        splits,
        before,
        after,
    )
    for report in dataset.prepare(order, messages().print):
        click.echo(report)


def _prepared() -> list[str]:
    """Return the names of the datasets that can be prepared; one that does not import is none."""
    from vssbench.core import registry
    from vssbench.core.errors import UsageError

    names = []
    for name in registry.plugins("datasets"):
        with suppress(UsageError):
            if registry.load("datasets", name).prepared_from:
                names.append(name)
    return names


@data.command("verify")
@click.argument("name")
@data_root_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def data_verify(name: str, data_root: Path | None, as_json: bool) -> None:
    """Read every file of a dataset: counts, sizes, label values, pairing, duplicates. Exit status 1
    where there is a fault.

    NAME may carry parameters; without a split every split of the folder is checked. For example:

    \b
        python bench.py data verify camvid --data-root ~/CamVid
        python bench.py data verify 'cityscapes[split=val,sequence=on]' --data-root ~/Cityscapes
    """
    from vssbench.core.variant import parse_variant
    from vssbench.data.verify import verify

    checked = verify(parse_variant(name), data_root)
    total = sum(len(faults) for faults in checked.values())
    if as_json:
        click.echo(json.dumps(checked, indent=2))
    else:
        left = _SHOWN
        for variant, faults in checked.items():
            click.echo(f"{variant}: {len(faults) or 'no'} fault{'' if len(faults) == 1 else 's'}")
            for fault in faults[:left]:
                click.echo(f"  {fault}")
            left = max(left - len(faults), 0)
        if total > _SHOWN:
            click.echo(f"the first {_SHOWN} of {total} faults are shown: --json prints all")
    if total:
        sys.exit(1)
