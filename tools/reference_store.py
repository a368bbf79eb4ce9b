"""The runs of a page of results: kept in one file, and in a folder while they are worked on."""

from __future__ import annotations

import shutil
from pathlib import Path

from vssbench.core.files import remove_folder
from vssbench.core.outputs import check_folder
from vssbench.run.archive import unpacked, write_archive
from vssbench.run.store import RunStore
from vssbench.sweep.merge import merge

#: the file beside a page, and the folder that stands in its place meanwhile
ARCHIVE, RUNS = "runs.tar.xz", "runs"


def take_out(page: Path) -> None:
    """Make the folder of a page's runs, unless it is there: then the last call has not ended."""
    if (page / RUNS).is_dir() or not (page / ARCHIVE).is_file():
        return
    with unpacked(page / ARCHIVE) as folder:
        merge([folder], RunStore(page / RUNS))


def put_away(page: Path) -> None:
    """Write the folder of a page's runs into its file, and remove it; streams that were encoded
    for them go with it."""
    check_folder(page)
    if runs := RunStore(page / RUNS).runs():
        write_archive(runs, page / ARCHIVE)
    shutil.rmtree(page / RUNS / ".cache", ignore_errors=True)
    remove_folder(page / RUNS)
