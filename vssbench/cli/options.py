"""Options that several commands share, and what turns their text into objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vssbench.core.errors import DataError, UsageError, VssbenchError

if TYPE_CHECKING:
    from vssbench.core.dataset import Dataset
    from vssbench.core.variant import Variant


class Size(click.ParamType):
    """``HxW`` in pixels, height first as in the papers' tables of CamVid (720x960)."""

    name = "HxW"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d+)[xX](\d+)", value)
        if match is None or 0 in (int(part) for part in match.groups()):
            self.fail(
                f"{value!r} is not a size: expected HEIGHTxWIDTH in pixels, as 720x960", param, ctx
            )
        return int(match[1]), int(match[2])


SIZE = Size()

data_root_option = click.option(
    "--data-root", type=click.Path(path_type=Path), help="Folder that holds the dataset's files."
)
runs_option = click.option(
    "--runs", type=click.Path(path_type=Path, file_okay=False), default=Path("results/runs"),
    show_default=True,
    help="Folder of the results store.",
)  # fmt: skip
force_option = click.option(
    "--force", is_flag=True, help="Replace files that are there already; an input never is."
)
device_option = click.option(
    "--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N."
)


def precision_option(default: str) -> Callable[[Any], Any]:
    """``--precision``: fp32, or bf16 autocast."""
    return click.option(
        "--precision", type=click.Choice(["fp32", "bf16"]), default=default, show_default=True,
        help="Arithmetic of the network.",
    )  # fmt: skip


def check_json(output: Path | None, force: bool) -> None:
    """``--json FILE`` of a benchmark: one message, before any work, where the file may not or
    cannot be written."""
    from vssbench.core.files import check_output

    try:
        if output is not None:
            check_output(output, force=force, option="--json")
    except VssbenchError as error:
        raise click.UsageError(str(error)) from error


def check_device(device: str) -> None:
    """Raises UsageError where torch knows no such device, or this machine has none."""
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise UsageError(f"unknown device {device!r}: expected cpu, cuda or cuda:N") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"--device {device}: torch {torch.__version__} sees no CUDA device here; use --device "
            "cpu"
        )
    if kind not in ("cpu", "cuda"):
        raise UsageError(f"--device {device} is not supported: expected cpu, cuda or cuda:N")


def open_dataset(variant: Variant, data_root: Path | None) -> Dataset:
    """A dataset object. Raises DataError where it needs files and ``--data-root`` is not given."""
    from vssbench.core import registry

    cls = registry.load("datasets", variant.name)
    if not cls.needs_root:
        return registry.create("datasets", variant)
    if data_root is None and "root" not in variant.params:
        raise DataError(f"{variant.name} needs its files: pass --data-root DIR. {cls.where()}")
    if data_root is None:
        return registry.create("datasets", variant)
    return registry.create("datasets", variant, root=str(data_root))
