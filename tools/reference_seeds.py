"""The section of the reference page on seeds: the same trainings from other random weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from tools.reference_machine import markdown_table
from vssbench.metrics.bootstrap import difference
from vssbench.metrics.draws import Interval
from vssbench.report.columns import percent
from vssbench.report.scores import interval_text
from vssbench.run.records import ConfusionRecord

#: what two runs share that differ in the seed of their weights alone
ALIKE = ("method", "dataset", "data", "codec", "gop", "protocol")


def seeds(
    first: tuple[pd.DataFrame, Mapping[str, ConfusionRecord]],
    second: tuple[pd.DataFrame, Mapping[str, ConfusionRecord]],
    files: Sequence[str],
) -> Iterator[str]:
    """Yield the section: each run of the second seed beside that of the first, and their paired
    difference.

    A seed's runs are given as rows that were measured and as the scored frames of each by its id.
    """
    known = {tuple(row[name] for name in ALIKE): row for _, row in first[0].iterrows()}
    rows, found = [], []
    for _, run in second[0].iterrows():
        its = known.get(tuple(run[name] for name in ALIKE))
        if its is None:
            continue
        apart = _apart(first[1][its["run_id"]], second[1][run["run_id"]], run["aggregate"])
        found.append(apart)
        rows.append(
            {
                "method": run["display"],
                "stream": f"{run['dataset_title']}, {run['codec_title']}, GOP {run['gop']}",
                "seed 0, %": percent(its["miou"]),
                "seed 1, %": percent(run["miou"]),
                "seed 1 less seed 0, points [95 %]": interval_text(apart, sign="+"),
            }
        )
    if not rows:
        return
    told = sum(each.low > 0 or each.high < 0 for each in found)
    most = max(abs(100 * each.value) for each in found)
    yield "## What another seed makes of it\n"
    yield (
        "The first 60 epochs on the drawn street were trained twice (stages `synthetic` and "
        "`synthetic-seed1` of [the plan](../../../tools/reference_training.toml)): other random "
        "weights, other orders and crops, the same images and the same recipe. The results on the "
        "street elsewhere on this page are those of twice as many epochs, of seed 0. Runs: "
        f"{', '.join(f'`{file}`' for file in files)}; these weights are not shipped. The two seeds "
        f"lie at most {most:.2f} points apart; the frames tell them apart "
        f"for {told} of {len(rows)}. Intervals elsewhere on this page are those of the frames: a "
        "difference of two methods that is smaller than this may be one of their seeds.\n"
    )
    yield markdown_table(pd.DataFrame(rows)) + "\n"


def _apart(first: ConfusionRecord, second: ConfusionRecord, aggregate: str) -> Interval:
    return difference(second, first, aggregate).miou
