"""Put the weights of finished reference trainings into ``weights/``, packed, and list them there.

    python -m tools.ship_weights WORK    # WORK is that of tools/reference_training.py
    python -m tools.ship_weights         # write the list in weights/README.md again

The tensors in float16 are rounded to the plan's ``mantissa_bits`` first: what packs hardly is the
noise in the last bits. The record says so under ``rounded``. A file that a training started from,
and that is shipped too, is referred to, so that what both share is stored once. The list says of
each file what its own record says.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from tools.reference_training import PLAN, ROOT
from vssbench.core import files
from vssbench.core.errors import WeightsError
from vssbench.report.columns import percent
from vssbench.training.kept import FORMS
from vssbench.weights import packing
from vssbench.weights.file import WeightFile, open_weights
from vssbench.weights.writing import pack

WEIGHTS = ROOT / "weights"
LIST = WEIGHTS / "README.md"
#: the list stands between these
BEGIN, END = "<!-- list: tools/ship_weights.py -->", "<!-- end of the list -->"
#: bits of float16's mantissa, and the code of infinity
_MANTISSA, _INFINITE = 10, 0x7C00
#: findings of a check of gradients in which every layer was right
RIGHT = "right"
#: options of a command that say where it ran and not what it made
_OF_A_MACHINE = re.compile(
    r" --(device|minutes|data-root|workers|frame-folder|out|memory) (?:'[^']*'|\S+)"
)


def shipped_name(plan: dict[str, Any], network: str, stage: dict[str, Any]) -> str:
    """Return the name in ``weights/`` of a network trained in a stage of the plan."""
    return f"{plan['trainings'][network]['file']}-w{plan['width']:g}-{stage['variant']}.safetensors"


def shipped(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the trainings whose weights are shipped."""
    return {name: own for name, own in plan["trainings"].items() if "file" in own}


def ship(plan: dict[str, Any], work: Path, folder: Path = WEIGHTS) -> list[Path]:
    """Pack every finished training of seed 0 into ``folder``; return what was written.

    Of a network's trainings on one dataset the last counts. A file of the same content stays as it
    is; so does one whose training went on from what is there, and one that another file refers to
    whose own training is not there.
    """
    written: list[Path] = []
    with tempfile.TemporaryDirectory() as drafts:
        # again, since a file that was compared before what it refers to was written is another now
        while new := _ship(plan, work, folder, Path(drafts)):
            written += new
    return written


def _ship(plan: dict[str, Any], work: Path, folder: Path, drafts: Path) -> list[Path]:
    written: list[Path] = []
    made = finished(plan, work)
    there = {path.name: open_weights(path) for path in sorted(folder.glob("*.safetensors"))}
    sources = {
        name: open_weights(work / f"{network}-{stage['name']}.safetensors")
        for name, (network, stage) in made.items()
    }
    for name, source in sources.items():
        if name in there and went_on(there[name].training, source.sha256):
            del made[name]
    references = {name: _references(file) for name, file in there.items()}
    # what waits is not made anew, and so what it refers to waits, too
    while held := [name for name in made if waiting(name, references, made)]:
        for name in held:
            del made[name]
    for name, (network, stage) in made.items():
        target = folder / name
        trained = rounded_file(sources[name], plan["mantissa_bits"], drafts)
        if target.is_file() and _same(open_weights(target), trained):
            continue
        bases = bases_of(plan, network, stage, folder)
        known = [open_weights(base) for base in bases if base.is_file()]
        written += pack(target, trained, known)
    return written


def finished(plan: dict[str, Any], work: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the names in ``weights/`` of what is trained: of which network, and in which stage
    last."""
    return {
        shipped_name(plan, network, stage): (network, stage)
        for stage in plan["stages"]
        if not stage.get("seed")
        for network in shipped(plan)
        if (work / f"{network}-{stage['name']}.safetensors").is_file()
    }


def _same(shipped: WeightFile, plain: WeightFile) -> bool:
    """Return whether a packed file holds the record and the tensors of a plain one; it does not
    where a file that it refers to is another by now."""
    # safetensors writes the metadata in an order of its own, so digests tell nothing
    record = {key: value for key, value in shipped.metadata.items() if key != packing.KEY}
    if record != plain.metadata:
        return False
    try:
        ours, theirs = shipped.stored(), plain.stored()
    except WeightsError:
        return False
    return ours.keys() == theirs.keys() and all(
        torch.equal(value, theirs[name]) for name, value in ours.items()
    )


def rounded_file(file: WeightFile, bits: int, folder: Path) -> WeightFile:
    """Write a weight file again in ``folder``, its float16 tensors with mantissas of so many
    bits."""
    tensors = {name: rounded(value, bits) for name, value in file.stored().items()}
    record = file.training | {"rounded": {"mantissa_bits": bits}}
    path = folder / file.path.name
    save_file(tensors, path, file.metadata | {"training": json.dumps(record)})
    return open_weights(path)


def rounded(value: Tensor, bits: int) -> Tensor:
    """Round float16 values to the nearest of a mantissa of ``bits`` bits, halves to even; values of
    another type stay as they are."""
    if value.dtype != torch.float16 or bits >= _MANTISSA:
        return value
    drop = _MANTISSA - bits
    codes = value.contiguous().view(torch.int16).numpy().view(np.uint16).astype(np.int64)
    sign, size = codes & 0x8000, codes & 0x7FFF
    near = (size + (1 << (drop - 1)) - 1 + ((size >> drop) & 1)) >> drop << drop
    # rounding up must not make the largest infinite
    near = np.where((size < _INFINITE) & (near >= _INFINITE), _INFINITE - (1 << drop), near)
    near = np.where(size >= _INFINITE, size, near)
    kept = (sign | near).astype(np.uint16).view(np.int16)
    return torch.from_numpy(kept).view(torch.float16).reshape(value.shape)


def bases_of(plan: dict[str, Any], network: str, stage: dict[str, Any], folder: Path) -> list[Path]:
    """Return the shipped files that a network's own may refer to: those that it started from, and
    those that the plan says to lie ``near``; never the file of its own name."""
    own = plan["trainings"][network]
    names = [
        shipped_name(plan, other, stage)
        for other in (*own.get("init", ()), *own.get("near", ()))
        if other in shipped(plan)
    ]
    if "near" in own:
        stages = {each["name"]: each for each in plan["stages"]}
        before = stage
        # a stage may go on with its own data, under the same name
        while "from" in before and before["variant"] == stage["variant"]:
            before = stages[before["from"]]
        if before["variant"] != stage["variant"]:
            names.append(shipped_name(plan, network, before))
    return [folder / name for name in names]


def went_on(record: dict[str, Any], sha256: str) -> bool:
    """Return whether a training was started from the file of that sha256, or from one that was: it
    is the earlier of the two."""
    return any(
        initial["sha256"] == sha256 or went_on(initial["training"], sha256)
        for initial in record.get("initial", ())
    )


def waiting(name: str, references: Mapping[str, set[str]], made: Collection[str]) -> list[str]:
    """Return the shipped files that refer to the one of that name, and are not among those that are
    made anew."""
    return [other for other, its in references.items() if other not in made and name in its]


def _references(file: WeightFile) -> set[str]:
    """Return the names of the files that a packed one refers to."""
    record = file.packed
    return set() if record is None else {each.file for each in record.references}


def listed(folder: Path = WEIGHTS) -> str:
    """Return the shipped files as a table: command, epochs of each phase, held-out score and how
    it went in the end, time, findings of the check of gradients."""
    lines = [
        "| file | command | epochs by phase | held-out | in the end | minutes | gradients |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in sorted(folder.glob("*.safetensors")):
        if re.search(r"-\d+-of-\d+\.", path.name):
            continue
        lines.append(_line(path.name, open_weights(path)))
    return "\n".join(lines)


def _line(name: str, file: WeightFile) -> str:
    record = dict(file.training)
    epochs: dict[str, int] = {}
    for entry in record.get("history", ()):
        epochs[entry["phase"]] = max(epochs.get(entry["phase"], 0), entry["epoch"])
    command = _OF_A_MACHINE.sub("", record["command"])
    minutes = round(record.get("seconds", 0) / 60)
    return (
        f"| {name} | `{command}` | {', '.join(f'{phase} {n}' for phase, n in epochs.items())} | "
        f"{_score(record)} | {_end(record)} | {minutes} | {gradients(record)} |"
    )


def gradients(record: dict[str, Any]) -> str:
    """Return what the check of layers' gradients found in a training and in all that it was
    started from."""
    said = [f"{name}{found}" for name, found in _lineage(record) if found != RIGHT]
    return "; ".join(dict.fromkeys(said)) or RIGHT


def _lineage(record: dict[str, Any], name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the findings of a training, then of those it was started from with their files."""
    yield name, _findings(record)
    for initial in record.get("initial", ()):
        yield from _lineage(initial["training"], f"in `{initial['file']}` ")


def _findings(record: dict[str, Any]) -> str:
    """Return what the check of one training found, by phase."""
    if "gradients" not in record:
        return "not checked"
    said = []
    for phase, found in record["gradients"].items():
        for form in FORMS:
            layers = [layer for layer, its in found.get("kept", {}).items() if its == form]
            said += [f"{phase}: wrong and so trained in {form}: {_names(layers)}"] if layers else []
        if layers := found.get("wrong", ()):
            said.append(f"{phase}: wrong in every form: {_names(layers)}")
        if layers := found.get("unchecked", ()):
            said.append(f"{phase}: not checked: {_names(layers)}")
    return ", ".join(said) or RIGHT


def _names(layers: Iterable[str]) -> str:
    return " ".join(f"`{layer}`" for layer in layers)


def _score(record: dict[str, Any]) -> str:
    """Return what the state that was kept was worth on held-out clips, of the last phase."""
    best = list(record.get("best", {}).values())
    if not best:
        return "-"
    last = best[-1]
    return f"{last['measure']} {_worth(last['score'], last['measure'])}, epoch {last['epoch']}"


def _end(record: dict[str, Any]) -> str:
    """Return the held-out scores at four and five sixths of the last phase's epochs and at its end,
    by epoch: whether more epochs would have gained."""
    phase, best = (list(record.get("best", {}).items()) or [("", {})])[-1]
    course = {
        entry["epoch"]: entry["validation"]
        for entry in record.get("history", ())
        if entry["phase"] == phase and entry.get("validation") is not None
    }
    if not course:
        return "-"
    points = [max(course) * sixths / 6 for sixths in (4, 5, 6)]
    near = dict.fromkeys(max((e for e in course if e <= point), default=0) for point in points)
    return ", ".join(f"{e}: {_worth(course[e], best['measure'])}" for e in near if e)


def _worth(score: float, measure: str) -> str:
    return percent(score) if measure == "mIoU" else f"{score:.3f}"


def write_list(path: Path = LIST, folder: Path = WEIGHTS) -> None:
    """Write the table into the page, in the place of the old one."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    files.write_text(path, f"{before}{BEGIN}\n{listed(folder)}\n{END}{after}")


def main() -> None:
    """Ship what WORK holds, if it is given, and write the list."""
    if len(sys.argv) > 2 or (len(sys.argv) == 2 and not Path(sys.argv[1]).is_dir()):
        sys.exit("usage: python -m tools.ship_weights [WORK], a folder of reference trainings")
    if len(sys.argv) == 2:
        plan = tomllib.loads(PLAN.read_text(encoding="utf-8"))
        for path in ship(plan, Path(sys.argv[1])):
            print(path)
    write_list()


if __name__ == "__main__":
    main()
