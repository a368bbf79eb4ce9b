"""Opens a dataset by the text that names it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vssbench.core import registry
from vssbench.core.errors import DataError
from vssbench.core.home import expanded

if TYPE_CHECKING:
    from vssbench.core.dataset import Dataset
    from vssbench.core.variant import Variant


def open_dataset(variant: Variant, data_root: Path | None) -> Dataset:
    """Return a dataset object. Raises DataError where it needs files and ``--data-root`` is not
    given."""
    cls = registry.load("datasets", variant.name)
    if not cls.needs_root:
        return registry.create("datasets", variant)
    if data_root is None and "root" not in variant.params:
        raise DataError(f"{variant.name} needs its files: pass --data-root DIR. {cls.where()}")
    if data_root is None:
        return registry.create("datasets", variant)
    return registry.create("datasets", variant, root=str(data_root))


def roots(variant: Variant, data_root: Path | None) -> list[Path]:
    """Return the folders that a dataset reads: of ``--data-root``, of ``root`` in its brackets."""
    typed = variant.params.get("root")
    own = [expanded(str(typed))] if typed else []
    return own if data_root is None else [data_root, *own]
