"""Train every network behind the shipped weights, in pieces: go on where the last call stopped, on
this machine or another.

    python -m tools.reference_training --work WORK --data-root CAMVID --jobs 2 --minutes 90
    python -m tools.reference_training --work WORK --data-root camvid.tar --device cuda --width 1 \\
        --minutes 9 --keep OUT

``reference_training.toml`` says what is trained. Each training is one ``bench.py train --resume``
in WORK, which holds checkpoints and finished weights. ``--keep DIR`` also keeps what was reached as
small files, half precision, from which the next call goes on where WORK is empty: finished weights
as they are, unfinished checkpoints packed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tools.training_plan import check, members
from vssbench.core import files

ROOT = Path(__file__).resolve().parent.parent
PLAN = Path(__file__).with_suffix(".toml")
#: pairs of a pass: as much of a network's memory as twice as many stills
PAIR_BATCH = 8
#: seconds between two looks at the running trainings
PAUSE = 2.0


@dataclass(frozen=True)
class Training:
    """One call of ``bench.py train``: its name, its arguments, the names of the trainings that it
    starts from."""

    name: str
    arguments: tuple[str, ...]
    needs: tuple[str, ...]

    @property
    def weights(self) -> str:
        return f"{self.name}.safetensors"

    @property
    def checkpoint(self) -> str:
        return f"{self.weights}.checkpoint"


def plan(content: dict[str, Any], width: float) -> list[Training]:
    """Return every training of the plan: stage by stage, in the file's order. Raises ValueError
    for one that means nothing."""
    check(content)
    trainings = []
    for stage in content["stages"]:
        there = {name: content["trainings"][name] for name in members(content, stage)}
        for name, own in there.items():
            own = own | {"init": [other for other in own.get("init", ()) if other in there]}
            if name in stage.get("alone", ()):
                own["init"] = []
            own["share"] = stage.get("shares", {}).get(name, own.get("share", 1))
            recipe = own.get("recipe", content["recipe"])
            trainings.append(_training(recipe, stage, name, own, width))
    return trainings


def _training(
    recipe: str, stage: dict[str, Any], network: str, own: dict[str, Any], width: float
) -> Training:
    name = f"{network}-{stage['name']}"
    initial = [f"{other}-{stage['name']}" for other in own.get("init", ())]
    if "from" in stage:
        initial.insert(0, f"{stage.get('from_other', {}).get(network, network)}-{stage['from']}")
    paired = own.get("pairs", False)
    epochs = (
        stage["pair_epochs"] if paired else max(1, round(stage["epochs"] * own.get("share", 1)))
    )
    arguments = [own["method"].format(width=f"{width:g}"), "-d", stage["variant"]]
    arguments += ["--recipe", recipe, "--epochs", str(epochs), "--seed", str(stage.get("seed", 0))]
    arguments += ["--out", f"{name}.safetensors", *stage.get("options", ())]
    arguments += ["--batch", str(PAIR_BATCH)] if paired else []
    arguments += own.get("options", ())
    for other in initial:
        arguments += ["--init", f"{other}.safetensors"]
    for phase in own.get("phases", {}).get(stage["variant"], ()):
        arguments += ["--phase", phase]
    return Training(name, tuple(arguments), tuple(initial))


def next_trainings(trainings: list[Training], work: Path, running: set[str]) -> list[Training]:
    """Return the trainings that can be started: not done, not running, and what they start from is
    done."""
    return [
        training
        for training in trainings
        if training.name not in running
        and not (work / training.weights).is_file()
        and all((work / f"{name}.safetensors").is_file() for name in training.needs)
    ]


def run(trainings: list[Training], work: Path, options: argparse.Namespace) -> int:
    """Run what can be run, some at a time, until nothing is left or the time is over; returns the
    exit status."""
    deadline = time.monotonic() + 60 * options.minutes
    running: dict[str, subprocess.Popen[bytes]] = {}
    failed: set[str] = set()
    kept = time.monotonic()
    while True:
        for training in next_trainings(trainings, work, set(running) | failed):
            left = (deadline - time.monotonic()) / 60
            if len(running) >= options.jobs or left <= 0.2:
                break
            running[training.name] = start(training, work, options, left)
        if not running:
            break
        time.sleep(PAUSE)
        for name in [name for name, process in running.items() if process.poll() is not None]:
            status = running.pop(name).returncode
            print(f"{name}: exit status {status}", flush=True)
            if status or not (work / f"{name}.safetensors").is_file():
                failed.add(name)  # stopped by the clock, or by a fault that its log names
        if options.keep and time.monotonic() - kept > 60 * options.keep_every:
            keep(trainings, work, options.keep)
            kept = time.monotonic()
    if options.keep:
        keep(trainings, work, options.keep)
    left = [training.name for training in trainings if not (work / training.weights).is_file()]
    print(
        f"{len(trainings) - len(left)} of {len(trainings)} trainings are done; next: "
        f"{', '.join(left[:3]) or 'none'}"
    )
    return 0


def start(
    training: Training, work: Path, options: argparse.Namespace, minutes: float
) -> subprocess.Popen[bytes]:
    """Start one training from its checkpoint, if it has one; its messages go to NAME.log."""
    command = [
        sys.executable,
        str(ROOT / "bench.py"),
        "train",
        *training.arguments,
        "--device",
        options.device,
    ]
    command += [
        "--minutes",
        f"{minutes:.2f}",
        "--data-root",
        str(options.data_root),
        "--workers",
        str(options.workers),
    ]
    command += ["--frame-folder", "frames"]
    if (work / training.checkpoint).is_file():
        command.append("--resume")
    environment = dict(os.environ)
    if options.threads:
        environment |= {
            "OMP_NUM_THREADS": str(options.threads),
            "MKL_NUM_THREADS": str(options.threads),
        }
    print(f"{training.name}: {' '.join(training.arguments)}", flush=True)
    with (work / f"{training.name}.log").open("ab") as log:
        return subprocess.Popen(command, cwd=work, stdout=log, stderr=log, env=environment)


def keep(trainings: list[Training], work: Path, folder: Path) -> None:
    """Write what was reached to ``folder``: finished weights, and unfinished checkpoints in half
    precision."""
    folder.mkdir(parents=True, exist_ok=True)
    for training in trainings:
        if (work / training.weights).is_file():
            for part in work.glob(f"{training.weights}*"):
                if not part.name.endswith(".log"):
                    shutil.copy2(part, folder / part.name)
            (folder / f"{training.name}.packed").unlink(missing_ok=True)
        elif (work / training.checkpoint).is_file():
            pack(work / training.checkpoint, folder / f"{training.name}.packed")


def take_up(trainings: list[Training], work: Path, folder: Path) -> None:
    """Fill an empty WORK from what ``keep`` wrote."""
    for training in trainings:
        if (work / training.weights).is_file() or (work / training.checkpoint).is_file():
            continue
        for part in folder.glob(f"{training.weights}*"):
            shutil.copy2(part, work / part.name)
        packed = folder / f"{training.name}.packed"
        if packed.is_file() and not (work / training.weights).is_file():
            unpack(packed, work / training.checkpoint)


def pack(checkpoint: Path, target: Path) -> None:
    """Write a checkpoint as safetensors, its large tensors as bfloat16, the rest as JSON in the
    metadata."""
    tensors: dict[str, torch.Tensor] = {}
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    tree = _flatten(content, tensors)
    with files.draft(target) as draft:
        save_file(tensors, draft, {"tree": json.dumps(tree)})


def unpack(packed: Path, checkpoint: Path) -> None:
    """Write the checkpoint that ``pack`` read, its tensors in their own types again."""
    with safe_open(packed, "pt") as file:
        tree = json.loads(file.metadata()["tree"])
        content = _restore(tree, lambda name: file.get_tensor(name))
    with files.draft(checkpoint) as draft:
        torch.save(content, draft)


def _flatten(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return a nested value as JSON; tensors are put aside and stand in it by their number and
    type."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        half = value.dtype == torch.float32 and value.numel() > 64
        tensors[name] = value.to(torch.bfloat16 if half else value.dtype).contiguous().clone()
        return {"tensor": name, "type": str(value.dtype).removeprefix("torch.")}
    if isinstance(value, dict):
        return {
            "dict": [
                [_flatten(key, tensors), _flatten(item, tensors)] for key, item in value.items()
            ]
        }
    if isinstance(value, list | tuple):
        return {
            "tuple" if isinstance(value, tuple) else "list": [
                _flatten(item, tensors) for item in value
            ]
        }
    return value


def _restore(value: Any, tensor: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensor(value["tensor"]).to(getattr(torch, value["type"]))
    if "dict" in value:
        return {_restore(key, tensor): _restore(item, tensor) for key, item in value["dict"]}
    if "tuple" in value:
        return tuple(_restore(item, tensor) for item in value["tuple"])
    return [_restore(item, tensor) for item in value["list"]]


def unpacked_data(root: Path, work: Path) -> Path:
    """Return the folder of the data; a ``.tar`` is unpacked into WORK once."""
    if root.is_dir():
        return root.resolve()
    folder = work / "data"
    if not folder.is_dir():
        draft = work / ".data.draft"
        shutil.rmtree(draft, ignore_errors=True)
        with tarfile.open(root) as archive:
            archive.extractall(draft, filter="data")
        draft.rename(folder)
    return folder


def main() -> int:
    """Read the command line and run the plan."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of checkpoints and finished weights"
    )
    parser.add_argument(
        "--data-root", type=Path, required=True, help="CamVid's folder, or a .tar of it"
    )
    parser.add_argument("--plan", type=Path, default=PLAN)
    parser.add_argument("--keep", type=Path, help="folder for small copies of what was reached")
    parser.add_argument("--keep-every", type=float, default=10, help="minutes between two copies")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after so many minutes")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--threads", type=int, default=0, help="threads of each training")
    parser.add_argument(
        "--workers", type=int, default=0, help="data-loading processes of each training"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--width", type=float, help="width of all networks, instead of the plan's")
    parser.add_argument(
        "--only", action="append", default=[], help="only trainings whose name holds this text"
    )
    options = parser.parse_args()
    try:
        content = tomllib.loads(options.plan.read_text(encoding="utf-8"))
        trainings = plan(content, options.width or content.get("width", 1))
    except (OSError, ValueError) as error:
        parser.error(f"{options.plan}: {error}")
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    options.data_root = unpacked_data(options.data_root, work)
    options.keep = options.keep.resolve() if options.keep else None
    trainings = [
        t for t in trainings if not options.only or any(part in t.name for part in options.only)
    ]
    if options.keep and options.keep.is_dir():
        take_up(trainings, work, options.keep)
    return run(trainings, work, options)


if __name__ == "__main__":
    sys.exit(main())
