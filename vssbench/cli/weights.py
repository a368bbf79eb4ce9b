"""``bench.py weights``: import the authors' checkpoints; say what a weight file holds; pack it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rich_click as click

from vssbench.cli.options import force_option, part_size_option


@click.group()
def weights() -> None:
    """Weight files: import published checkpoints, look into a file, pack it without loss.

    
        python bench.py weights import pspnet camvid-psp18.pth
        python bench.py weights info camvid-psp18.safetensors
    """


@dataclass(frozen=True)
class _Import:
    """The options of ``weights import`` that say how checkpoints are read and split."""

    role: str | None
    classes: str | None
    part_size: float | None

    @property
    def names(self) -> tuple[str, ...] | None:
        return tuple(name.strip() for name in self.classes.split(",")) if self.classes else None

    @property
    def part_bytes(self) -> int | None:
        return None if self.part_size is None else int(self.part_size * 2**20)


@weights.command("import")
@click.argument("method")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write (.safetensors).",
)
@click.option(
    "--role", type=click.Choice(["HR", "AR"]), help="AR-Seg: what a single file is, if either."
)
@click.option(
    "--classes",
    help="Names of the classes, separated by commas; known for CamVid (11, 12) and Cityscapes "
    "(19).",
)
@part_size_option
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON.")
def import_weights(
    method: str,
    files: tuple[Path, ...],
    out: Path | None,
    force: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Read the authors' checkpoint FILES of METHOD into one weight file.

    \b
        python bench.py weights import pspnet camvid-psp18.pth
        python bench.py weights import arseg camvid-psp18-hr.pth camvid-psp18-ar.pth \\
            -o arseg.safetensors
        python bench.py weights import bisenet resnet18-imagenet.pth  # for train --init

    The file says which network it is; parameters in brackets must agree with it. AR-Seg takes its
    HR file, then its AR file. Nothing in a checkpoint is executed. The account names every entry
    that is used, and why another is not.
    """
    from vssbench.core.progress import messages
    from vssbench.core.variant import parse_variant
    from vssbench.weights.account import account
    from vssbench.weights.importer import import_checkpoints
    from vssbench.weights.writing import check_output

    wanted = _Import(**given)
    target = out or files[-1].with_suffix(".safetensors")
    check_output(target, files, force, "-o" if out else "without -o, the output")
    imported = import_checkpoints(parse_variant(method), files, wanted.names, wanted.role)
    paths = imported.save(target, wanted.part_bytes)
    report = account(imported, paths)
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    for line in _account_lines(report):
        messages().print(line, markup=False, highlight=False)
    for path in paths:
        click.echo(path)


@weights.command("convert")
@click.argument("method")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--map",
    "rules",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML file that says how the checkpoint's names become the method's.",
)
@click.option(
    "--classes", required=True, help="Names of the classes, separated by commas, or their number."
)
@click.option("--mean", help="Mean of R,G,B, of [0, 1] or in grey levels. [default: ImageNet's]")
@click.option(
    "--std", help="Standard deviation of R,G,B, of [0, 1] or in grey levels. [default: ImageNet's]"
)
@click.option("--bgr", is_flag=True, help="--mean and --std are listed as B,G,R.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    show_default=True,
    help="Of large tensors in the file; networks compute in float32 whatever it is.",
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write (.safetensors).",
)
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON.")
def convert_weights(
    method: str, file: Path, out: Path, force: bool, as_json: bool, precision: str, **options: Any
) -> None:
    """Read a checkpoint FILE into a weight file of METHOD, whose names it has or nearly has.

    
        python bench.py weights convert mynet camvid.pth --classes 11 -o mynet.safetensors
        python bench.py weights convert mynet camvid.pth --map rules.toml --classes road,car \\
            --mean 104,117,123 --bgr -o mynet.safetensors

    This is for methods whose authors' checkpoints `weights import` does not know. Rules are written
    as docs/weights.md says. Nothing in a checkpoint is executed.
    """
    from vssbench.core.progress import messages
    from vssbench.core.segmenter import IMAGENET_MEAN, IMAGENET_STD
    from vssbench.core.variant import parse_variant
    from vssbench.weights.account import account
    from vssbench.weights.convert import Rules, convert, parse_statistics, read_rules
    from vssbench.weights.writing import check_output

    rules: Path | None = options["rules"]
    check_output(out, [file, *([rules] if rules else [])], force)
    converted = convert(
        parse_variant(method),
        file,
        options["classes"],
        read_rules(rules) if rules else Rules(),
        parse_statistics(options["mean"], "--mean", options["bgr"], IMAGENET_MEAN),
        parse_statistics(options["std"], "--std", options["bgr"], IMAGENET_STD),
    )
    report = account(converted, converted.save(out, half=precision == "fp16"))
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    for line in _account_lines(report):
        messages().print(line, markup=False, highlight=False)
    click.echo(out)


def _account_lines(report: dict[str, Any]) -> list[str]:
    lines = [
        f"{report['method']}, {report['classes']} classes, from {'; '.join(report['sources'])}",
        f"  used: {report['used']} entries",
    ]
    for reason, entries in report["not used"].items():
        shown = ", ".join(entries[:4]) + (", ..." if len(entries) > 4 else "")
        lines.append(f"  not used: {len(entries)} entries: {reason} ({shown})")
    if report["missing"]:
        lines.append(
            f"  missing: {', '.join(report['missing'])}: not in these files; such weights can "
            "start a training, not be scored"
        )
    return lines


@weights.command("pack")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--refer",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="OTHER",
    help="Another weight file: what FILE shares with it is not stored again. Repeatable.",
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write, beside every OTHER.",
)
@part_size_option
@force_option
def pack(
    file: Path, refer: tuple[Path, ...], out: Path, part_size: float | None, force: bool
) -> None:
    """Write FILE again in less space, without loss.

    \b
        python bench.py weights pack pspnet.safetensors -o weights/pspnet.safetensors
        python bench.py weights pack arseg.safetensors --refer weights/pspnet.safetensors \\
            -o weights/arseg.safetensors

    A packed file is used like any other and keeps FILE's SHA-256, so that results stay those of the
    same weights. It needs the files that it refers to beside it, under the same names.
    """
    from vssbench.weights.file import open_weights
    from vssbench.weights.writing import check_output
    from vssbench.weights.writing import pack as write_packed

    opened, others = open_weights(file), [open_weights(other) for other in refer]
    inputs = [path for one in (opened, *others) for path in one.parts]
    check_output(out, inputs, force)
    size = None if part_size is None else int(part_size * 2**20)
    for path in write_packed(out, opened, others, size):
        click.echo(path)


@weights.command("unpack")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write.",
)
@force_option
def unpack(file: Path, out: Path, force: bool) -> None:
    """Write the plain file that a packed FILE was made from, byte for byte.

    \b
        python bench.py weights unpack weights/arseg-s0.5-w0.25-camvid.safetensors \\
            -o arseg.safetensors
    """
    from vssbench.weights.file import open_weights
    from vssbench.weights.writing import check_output
    from vssbench.weights.writing import unpack as write_plain

    opened = open_weights(file)
    check_output(out, opened.parts, force)
    for path in write_plain(out, opened):
        click.echo(path)


@weights.command("info")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(file: Path, as_json: bool) -> None:
    """Say what FILE holds: method, classes, normalisation, where the weights come from; the
    originals that a .pth fits.

    \b
        python bench.py weights info weights/pspnet-camvid.safetensors
        python bench.py weights info camvid-psp18.pth
    """
    from vssbench.weights.account import describe

    description = describe(file)
    if as_json:
        click.echo(json.dumps(description, indent=2))
        return
    width = max(len(key) for key in description)
    for key, value in description.items():
        click.echo(f"{key:{width}}  {_text(value)}")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
