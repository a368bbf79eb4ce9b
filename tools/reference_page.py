"""Write the page of results/reference/camvid360 from stored runs: its tables, and sentences that
follow from intervals."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tools.reference_machine import machine_tables
from tools.reference_plan import Measurement
from tools.reference_seeds import seeds
from tools.reference_store import ARCHIVE
from vssbench.core import files
from vssbench.core.errors import DataError, UsageError
from vssbench.core.variant import parse_variant
from vssbench.metrics.bootstrap import difference
from vssbench.metrics.draws import Interval
from vssbench.metrics.resampling import plural
from vssbench.protocol import POOLED
from vssbench.report import footnotes
from vssbench.report.columns import quantity
from vssbench.report.frames import Tables, tables
from vssbench.report.markup import markdown
from vssbench.report.rows import rows
from vssbench.report.scores import interval_text
from vssbench.run.records import ConfusionRecord
from vssbench.run.store import RunStore
from vssbench.run.stored import Run

PAGE = "README.md"
#: the page's folder, as its commands name it
FOLDER = "results/reference/camvid360"
#: the folders beside it of the runs with the weights of the first stage, one for each seed
SEEDS = ("seed0", "seed1")
_WIDTH = re.compile(r" \(width [0-9.]+\)")
#: streams of a claim that are shown without being asked for
STREAMS = 4


@dataclass(frozen=True)
class Reference:
    """The stored runs of a page, each read once."""

    stored: tuple[Run, ...]

    @classmethod
    def read(cls, out: Path) -> Reference:
        """Read the runs of a page's folder.

        Exits with a message where they were made by several versions of the code.
        """
        reference = cls(tuple(RunStore(out / "runs").runs()))
        try:
            footnotes.check_one_version(rows(reference.stored))
        except UsageError as error:
            sys.exit(f"a page holds runs of one version of the code: {error}")
        return reference

    @cached_property
    def tables(self) -> Tables:
        """The runs as frames: by run, distance and class."""
        return tables(self.stored)

    @property
    def runs(self) -> pd.DataFrame:
        """The frame with a row a run."""
        return self.tables.runs

    @property
    def done(self) -> pd.DataFrame:
        """The rows that were measured."""
        return self.runs[self.runs["status"] == "done"]

    @cached_property
    def confusion(self) -> dict[str, ConfusionRecord]:
        """The scored frames of each run, by its id."""
        every = {run.measurement.run_id: run.confusion for run in self.stored}
        return {name: record for name, record in every.items() if record is not None}


def settled(runs: pd.DataFrame, method: str) -> str | None:
    """Return the measured variant that a method of the plan stands for: with the width of its
    weights. None where it was not measured."""
    wanted = parse_variant(method)
    for known in runs["method"].unique():
        variant = parse_variant(known)
        rest = {name: value for name, value in variant.params.items() if name != "width"}
        if variant.name == wanted.name and rest == dict(wanted.params):
            return str(known)
    return None


@dataclass(frozen=True)
class Judged:
    """A claim's difference on one stream."""

    stream: str
    interval: Interval


def judged(reference: Reference, claim: dict[str, Any]) -> list[Judged]:
    """Return the claim's difference on every stream on which both methods were measured."""
    done = reference.done
    protocol = "every-distance" if claim.get("distances") else "dense"
    done = done[done["protocol"] == protocol]
    keys = ["dataset", "data", "codec", "gop"]
    found = []
    for _, group in done.groupby(keys, sort=False):
        # weights of another dataset may have another width
        both = [
            group[group["method"] == settled(group, claim[name])] for name in ("first", "second")
        ]
        if any(len(rows) != 1 for rows in both):
            continue
        own, other = (reference.confusion[rows["run_id"].iloc[0]] for rows in both)
        if claim.get("distances"):
            own, other = at_distance(own, int(own.distances.max())), at_distance(other, 0)
        aggregate = POOLED if claim.get("distances") else both[0]["aggregate"].iloc[0]
        where = stream(both[0].iloc[0])
        try:
            found.append(Judged(where, difference(own, other, aggregate).miou))
        except DataError as error:  # too few frames
            print(f"{where} is not judged: {error}")
    return found


def at_distance(record: ConfusionRecord, distance: int) -> ConfusionRecord:
    """Return the rows of one distance, for a comparison of distances on the same frames."""
    rows = record.distances == distance
    groups, views = (None if each is None else each[rows] for each in (record.groups, record.views))
    return replace(
        record,
        matrices=record.matrices[rows],
        distances=np.zeros(int(rows.sum()), np.int64),
        clips=record.clips[rows],
        frames=record.frames[rows],
        groups=groups,
        views=views,
    )


def stream(run: pd.Series) -> str:
    """Return a run's data and stream in words: ``CamVid 360x480, H.264 1 Mb/s, GOP 12``."""
    split = f" {run['split']}" if run["split"] not in ("", "val") else ""
    return (
        f"{run['dataset_title']} {run['height']}x{run['width']}{split}, "
        f"{run['codec_title']}, GOP {run['gop']}"
    )


def verdict(claim: dict[str, Any], found: Sequence[Judged]) -> str:
    """Say whether the intervals agree with what a claim expects of the first method.

    ``better`` and ``worse`` need an interval that excludes zero; ``no worse`` one that excludes a
    loss of ``margin`` points. What streams leave open is no agreement, and is said.
    """
    if not found:
        return "Not measured."
    better = sum(item.interval.low > 0 for item in found)
    worse = sum(item.interval.high < 0 for item in found)
    counts = (
        f"Of {plural(len(found), 'stream')} it is better on {better}, worse on {worse}, not told "
        f"apart on {len(found) - better - worse}"
    )
    wanted, against = {
        "better": (better, worse),
        "worse": (worse, better),
        "no worse": (
            sum(100 * item.interval.low > -claim.get("margin", 0.0) for item in found),
            worse,
        ),
    }[claim["expected"]]
    if claim["expected"] == "no worse":
        unit = "point" if claim["margin"] == 1 else "points"
        counts += f"; on {wanted} a loss of {claim['margin']:g} {unit} or more is excluded"
    return f"{counts}. **{_agreement(wanted, against, len(found))}**"


def _agreement(wanted: int, against: int, streams: int) -> str:
    """Say on how many streams intervals decide for a claim, against it, and not at all."""
    if wanted and against:
        return "This agrees with the claim on some streams, and not on others."
    if not wanted and not against:
        return "These frames do not decide it."
    said = "agrees" if wanted else "does not agree"
    open_ones = streams - wanted - against
    if not open_ones:
        return f"This {said} with the claim."
    rest = "the other does" if open_ones == 1 else "the others do"
    decided = f"{wanted or against} of {streams} streams"
    return f"This {said} with the claim on {decided}; {rest} not decide it."


def sentence(reference: Reference, claim: dict[str, Any]) -> str:
    """Return a claim as an item of the page: what the paper says, our differences, the verdict."""
    runs = reference.runs
    names = [_display(runs, claim[name]) for name in ("first", "second")]
    title = (
        f"{names[0]} at its greatest distance against its own keyframes"
        if claim.get("distances")
        else f"{names[0]} against {names[1]}"
    )
    found = judged(reference, claim)
    cost = "" if claim.get("distances") else _cost(reference.done, claim)
    said = f"* **{markdown(title)}.** {claim['paper']}. {verdict(claim, found)}{cost}"
    lines = [
        f"  * {markdown(item.stream)}: {interval_text(item.interval, sign='+')} points"
        for item in found
    ]
    if len(lines) > STREAMS:
        count = plural(len(lines), "stream")
        opened, closed = f"\n  <details><summary>{count}</summary>\n", "\n  </details>"
        lines = [opened, *lines, closed]
    return "\n".join([said, *lines])


def _cost(done: pd.DataFrame, claim: dict[str, Any]) -> str:
    """Say what the first method costs of the second's multiplications, on the first data."""
    for _, group in done.groupby(["dataset", "data", "codec", "gop", "protocol"], sort=False):
        gmacs = [
            group.loc[group["method"] == settled(group, claim[name]), "gmacs_gop"]
            for name in ("first", "second")
        ]
        if all(len(each) for each in gmacs):
            first, second = (float(each.iloc[0]) for each in gmacs)
            return f" It costs {quantity(first)} GMACs a frame, the other {quantity(second)}."
    return ""


def _display(runs: pd.DataFrame, method: str) -> str:
    known = runs[runs["method"] == settled(runs, method)]
    # of one width or of several
    return _WIDTH.sub("", str(known["display"].iloc[0])) if len(known) else method


def shown_command(arguments: Sequence[str]) -> str:
    """Return a call of ``bench.py`` on the page's runs as it is typed."""
    return f"python bench.py {shlex.join(arguments)} --runs {FOLDER}/{ARCHIVE}"


def placed(arguments: Sequence[str], out: Path, shown: Path | str) -> list[str]:
    """Return arguments of a plan with the page's folder in the place of ``{folder}``: the files
    lie in ``out`` and are written as in ``shown``. Those that are not there, and their options, are
    left out."""
    kept: list[str] = []
    for text in arguments:
        if "{folder}" not in text:
            kept.append(text)
        elif Path(text.format(folder=out)).is_file():
            kept.append(text.format(folder=shown))
        else:
            kept.pop()
    return kept


def sections(
    plan: dict[str, Any],
    planned: Sequence[Measurement],
    reference: Reference,
    out: Path,
    made: Mapping[str, str],
) -> Iterator[str]:
    """Yield the page, part by part; ``made`` are the tables by the arguments that made them."""
    done = reference.done
    yield "# Reference results: five methods and their baselines, on compressed video\n"
    yield (
        f"{len(done)} runs with the [shipped weights](../../../weights/README.md), made, drawn and "
        "written by `python -m tools.reference_results` ([plan](../../../tools/"
        f"reference_results.toml)); confusion matrices of every frame: `{ARCHIVE}`, all numbers: "
        "[table.csv](table.csv). Above each table and figure stands the command that makes it. "
        "mIoU is the mean over distances from the keyframe unless it says otherwise; times are "
        "those of `bench.py latency` (`--times`), since runs had no machine to themselves. "
        f"{widths(done)}\n"
    )
    for figure in plan["figures"]:
        if (out / figure["file"]).is_file():
            place = ["--strict", "-o", f"{FOLDER}/{figure['file']}"]
            arguments = placed(figure["arguments"], out, FOLDER)
            yield f"`{shown_command(['plot', *arguments, *place])}`:\n"
            yield f"![{figure['title']}]({figure['file']})\n"
    for section in plan["tables"]:
        there = [text for text in section["arguments"] if made.get(text)]
        if there:
            yield f"## {section['title']}\n"
        for text in there:
            arguments = placed(shlex.split(text), out, FOLDER)
            yield f"`{shown_command(['table', *arguments, '--strict'])}`:\n"
            yield made[text]
    if all((out.parent / name / "runs").is_dir() for name in SEEDS):
        pairs = [
            (each.done, each.confusion)
            for each in (Reference.read(out.parent / name) for name in SEEDS)
        ]
        yield from seeds(*pairs, [f"results/reference/{name}/{ARCHIVE}" for name in SEEDS])
    yield from machine_tables(plan, out)
    claims = [sentence(reference, claim) for claim in plan["claims"]]
    yield "## What papers claim, and what is measured here\n"
    yield (
        "Each item follows from paired 95 % intervals of the difference on the same frames, the "
        "first minus the second ([how](../../../docs/scores.md)), as `python bench.py compare "
        f"FIRST SECOND --runs {FOLDER}/{ARCHIVE}` gives them; what compares two distances of a "
        "method pairs them likewise. Streams of one clip show the same frames: they are no "
        "independent samples.\n"
    )
    yield "\n".join(claims) + "\n"
    missing = [*not_run(planned, reference.runs), *_failed(reference.runs)]
    if missing:
        yield "## Not measured\n"
        yield "\n".join(missing) + "\n"
    yield "## Again\n"
    yield _again(plan)


def widths(done: pd.DataFrame) -> str:
    """Say how wide the measured networks are beside the papers'."""
    found = {float(parse_variant(text).params.get("width", 1)) for text in done["method"].unique()}
    listed = " and ".join(f"{width:g}" for width in sorted(found))
    return (
        f"Networks have {listed} of the papers' channels and were trained by this project ([how]"
        "(../../../docs/training.md)); they are not the papers' models."
    )


def not_run(planned: Sequence[Measurement], runs: pd.DataFrame) -> list[str]:
    """Return an item for each measurement of the plan and what of it has no run."""
    said = []
    for item in planned:
        here = runs[(runs["dataset"] == item.dataset) & (runs["protocol"] == item.protocol)]
        codecs = here["codec"].unique()
        lacking: dict[tuple[str, ...], list[str]] = {}
        for codec in item.codecs:
            wanted = [text for text in codecs if parse_variant(text) == parse_variant(codec)]
            of_codec = here[here["codec"].isin(wanted)]
            missing = tuple(each for each in item.methods if settled(of_codec, each) is None)
            if missing:
                lacking.setdefault(missing, []).append(codec)
        said += [f"* {item.name}: {_lacking(item, *each)}" for each in lacking.items()]
    return said


def _lacking(item: Measurement, methods: tuple[str, ...], codecs: Sequence[str]) -> str:
    """Say of which methods under which codecs no run is stored."""
    of = "" if methods == item.methods else f" of {markdown(', '.join(methods))}"
    if len(codecs) == len(item.codecs):
        return f"no run{of} is stored."
    return f"no run{of} under {markdown(', '.join(codecs))}."


def _failed(runs: pd.DataFrame) -> list[str]:
    """Return an item for each reason for which runs have no numbers."""
    failed = runs[runs["status"] != "done"]
    return [
        f"* {markdown(name)}, {markdown(stream(group.iloc[0]))}: {markdown(reason)}"
        for (name, _, reason), group in failed.groupby(["display", "data", "reason"], sort=False)
    ]


def _again(plan: dict[str, Any]) -> str:
    folders = " ".join(f"--data {name}=DIR" for name in plan["data"])
    said = [f"* `{name}`: {what}" for name, what in plan["data"].items()]
    return (
        f"```\npython -m tools.reference_results --out again {folders}\n```\n\n"
        + "\n".join(said)
        + "\n\nThis measures, draws and writes all into `again`, and says at its end how many runs "
        "have the confusion matrices of those that are stored here: on the same kind of machine, "
        "with the same libraries and number of threads, all.\n"
    )


def write_page(
    plan: dict[str, Any],
    planned: Sequence[Measurement],
    out: Path,
    made: Mapping[str, str],
) -> str:
    """Write the page; return it."""
    reference = Reference.read(out)
    text = "\n".join(sections(plan, planned, reference, out, made))
    files.write_text(out / PAGE, text)
    return text
