"""The runs of a page of results: kept in one file, and in a folder while they are worked on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.reference_seeds import ALIKE
from vssbench.core.files import draft, remove_folder
from vssbench.run.archive import files_of, unpacked, write_archive
from vssbench.run.store import RunStore
from vssbench.run.stored import Run
from vssbench.sweep.merge import conflict, merge

#: the file beside a page, and the folder that stands in its place meanwhile
ARCHIVE, RUNS = "runs.tar.xz", "runs"


#: what two runs share of which one is the other again
_AGAIN = (*ALIKE, "status")


def take_out(page: Path) -> None:
    """Make the folder of a page's runs, unless it is there: then the last call has not ended."""
    if (page / RUNS).is_dir() or not (page / ARCHIVE).is_file():
        return
    with unpacked(page / ARCHIVE) as folder, draft(page / RUNS) as made:
        merge([folder], RunStore(made))


def put_away(page: Path) -> None:
    """Write the folder of a page's runs into its file, and remove it; streams that were encoded
    for them go with it. Raises DataError where one does not read: then all stays as it is."""
    store = RunStore(page / RUNS)
    if ids := store.ids():
        runs = [store.get(each) for each in ids]
        write_archive([(run, files_of(run)) for run in runs], page / ARCHIVE)
        remove_folder(page / RUNS)


def compare(anew: RunStore, stored: RunStore) -> Iterator[str]:
    """Yield what runs that were made anew have in common with the stored ones: how many have equal
    confusion matrices, and those that differ."""
    known = {_key(run): run for run in stored.runs()}
    pairs = [(run, known[_key(run)]) for run in anew.runs() if _key(run) in known]
    done = [pair for pair in pairs if pair[0].measurement.status == "done"]
    differ = [run for run, other in done if conflict(run, other)]
    yield f"{len(done) - len(differ)} of {len(done)} runs have the stored confusion matrices"
    for run in differ:
        item = run.measurement
        yield f"  another result: {item.method} on {item.dataset} under {item.codec}"


def _key(run: Run) -> tuple[Any, ...]:
    return tuple(getattr(run.measurement, name) for name in _AGAIN)
