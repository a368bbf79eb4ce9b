"""Opens a dataset by the text that names it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vssbench.core import registry
from vssbench.core.errors import DataError

if TYPE_CHECKING:
    from vssbench.core.dataset import Dataset
    from vssbench.core.variant import Variant


def open_dataset(variant: Variant, data_root: Path | None) -> Dataset:
    """A dataset object. Raises DataError where it needs files and ``--data-root`` is not given."""
    cls = registry.load("datasets", variant.name)
    if not cls.needs_root:
        return registry.create("datasets", variant)
    if data_root is None and "root" not in variant.params:
        raise DataError(f"{variant.name} needs its files: pass --data-root DIR. {cls.where()}")
    if data_root is None:
        return registry.create("datasets", variant)
    return registry.create("datasets", variant, root=str(data_root))
