"""The index of a store: what tables are made of, for each run by its files' names, sizes and times,
and of its arrays by the digest of their files.

It spares reading the arrays of thousands of runs. It is made of the runs, and of them alone: it may
be deleted at any time, and a run whose files are others than it knows is read again; arrays whose
digest it knows are not counted again.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from vssbench.core.errors import UsageError
from vssbench.core.naming import called
from vssbench.core.progress import messages
from vssbench.report import index_file
from vssbench.report.facts import Facts
from vssbench.report.index_entries import Entry, Index, packed, unpacked
from vssbench.report.read_many import read_many
from vssbench.run.store import RunStore

#: runs that must have been read for the index to be written: a small store needs none
WORTH = 50
#: runs that an index must lack for the command that stored them to read them into it
MANY = 250
#: runs whose reading takes so long that it is said
SLOW = 1000
_logger = logging.getLogger(__name__)


def facts(store: RunStore) -> list[Facts]:
    """Return the facts of every readable run, in the store's order: dataset, codec, method, id.

    A damaged folder is logged and left out.
    """
    with _uncollected():
        index, faults = _up_to_date(store, _stamps(store), index_file.load(store))
        for fault in faults:
            _logger.warning("%s", fault)
        return sorted(index.facts(), key=_order)


def keep_up(store: RunStore) -> None:
    """Read the runs that the index lacks, where they are many, so that the first table need not
    wait for them."""
    if not index_file.writable(store):
        return
    stamps = _stamps(store)
    if len(stamps) < MANY:
        return
    content = index_file.load(store)
    known = {name: packed["stamp"] for name, packed in content["runs"].items()}
    if len(_lacking(stamps, known)) >= MANY:
        _up_to_date(store, stamps, content)  # whoever reads the runs is told what does not read


@contextmanager
def _uncollected() -> Iterator[None]:
    """Make millions of objects that stay, without a search for cycles among them again and
    again."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _up_to_date(
    store: RunStore, stamps: Mapping[str, str], content: dict[str, Any]
) -> tuple[Index, list[str]]:
    """Return the index with all runs, and what does not read in words; one that lacked many is
    written. ``content`` is the index as it is stored."""
    known = unpacked(content)
    lacking = _lacking(stamps, {name: each.stamp for name, each in known.runs.items()})
    if len(lacking) >= SLOW:
        messages().print(
            f"reading {len(lacking)} runs that the index of {called(store.root)} lacks"
        )
    unread = {*lacking, *(name for name, each in known.runs.items() if not each.key)}
    again = [name for name in stamps if name in unread]
    runs = {name: known.runs[name] for name in stamps if name in known.runs}
    faults = []
    for each in read_many(store, again, known.numbers):
        runs[each.run_id] = Entry(stamps[each.run_id], each.row, each.key)
        faults += [each.fault] if each.fault else []
    index = Index({name: runs[name] for name in stamps}, known.numbers)
    if len(lacking) >= WORTH and index_file.writable(store):
        index_file.save(store, packed(index))
    return index, faults


def _stamps(store: RunStore) -> dict[str, str]:
    """Return what tells the files of each run from others."""
    stamps = {}
    for name in store.ids():
        with suppress(UsageError):  # a folder that no run could have is read, and said to be none
            stamps[name] = ""
            stamps[name] = store.stamp(name)
    return stamps


def _lacking(stamps: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    return [name for name, stamp in stamps.items() if known.get(name) != stamp]


def _order(each: Facts) -> tuple[str, ...]:
    return tuple(each.row[name] for name in ("dataset", "codec", "method", "run_id"))
