"""Recorded outputs of the originals: whole ones from the folder VSSBENCH_TEST_FIXTURES, samples of
them from ``samples/``.

The recorded runs took weights that follow from each entry's name and shape (:func:`recipe`),
statistics of batch normalisation among them, and inputs drawn in order from torch's generator with
the seed 1234. A sample holds the names and shapes, the inputs' shapes, and of every output its
shape, its largest magnitude and values at even distances.

``python -m tests.weights.golden FIXTURES`` writes the samples anew; with ``--table`` it prints the
comparison.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vssbench.core.variant import parse_variant
from vssbench.weights.file import open_weights
from vssbench.weights.importer import Imported, import_checkpoints
from vssbench.weights.network import build

SAMPLES = Path(__file__).parent / "samples"
SEED = 1234
VALUES = 300  # of each model's outputs together

#: name of the recorded model -> (the method to import it into, the role of AR-Seg's file)
CASES: dict[str, tuple[str, str | None]] = {
    "arseg_camvid_psp18_hr": ("pspnet", None),
    "arseg_camvid_psp18_lr_nofuse": ("pspnet[scale=0.5]", None),
    "arseg_camvid_psp18_fuse": ("arseg", "AR"),
    "arseg_camvid_bise18_hr": ("bisenet", None),
    "arseg_camvid_bise18_fuse": ("arseg", "AR"),
    "arseg_city_psp18_semseg_hr_asfuse": ("arseg", "HR"),
    "arseg_city_psp18_semseg_fuse": ("arseg", "AR"),
    "coincheung_bisenetv1_r18_train": ("bisenet", None),
    "flownets": ("dff", None),
    "flownets_bn": ("dff", None),
    "liminn_icnet_r50": ("icnet", None),
    "mmseg_icnet_r18": ("icnet", None),
    "semseg_psp50": ("pspnet", None),
    "torchseg_bisenet_r18": ("bisenet", None),
    "yzfzzz_dff_flownet": ("dff", None),
}


@dataclass
class Recorded:
    """One model: its weights by original name, inputs, and either whole outputs or samples of
    them."""

    name: str
    weights: dict[str, Tensor]
    inputs: list[Tensor]
    outputs: list[Sample]


@dataclass
class Sample:
    """An output's shape, largest magnitude, and values at every ``step``-th position of its
    flattened form."""

    shape: tuple[int, ...]
    largest: float
    step: int
    values: Tensor

    def difference(self, output: Tensor) -> float:
        """The largest difference, relative to the largest magnitude. Infinite where the shape
        differs."""
        if tuple(output.shape) != self.shape:
            return float("inf")
        return float((output.flatten()[:: self.step] - self.values).abs().max()) / self.largest


def recipe(name: str, shape: tuple[int, ...]) -> Tensor:
    """The tensor that the recorded runs had under a name."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    leaf = name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.long)
    if leaf in ("running_mean", "bias"):
        return torch.randn(shape, generator=generator) * 0.1
    if leaf == "running_var":
        return torch.rand(shape, generator=generator) * 0.4 + 0.8
    if len(shape) < 2:
        return torch.rand(shape, generator=generator) * 0.4 + 0.6
    return torch.randn(shape, generator=generator) * (2.0 / int(np.prod(shape[1:]))) ** 0.5


def fixtures() -> Path | None:
    """The folder of whole outputs, None where the environment names none."""
    folder = os.environ.get("VSSBENCH_TEST_FIXTURES")
    return Path(folder) if folder else None


def sampled(name: str) -> dict:
    """Return what the file of a sample says, names and shapes of a checkpoint for the most part."""
    return json.loads(gzip.decompress((SAMPLES / f"{name}.json.gz").read_bytes()))


def load_sample(name: str) -> Recorded:
    """A model as ``samples/`` holds it."""
    meta = sampled(name)
    outputs = [
        Sample(tuple(o["shape"]), o["largest"], o["step"], torch.tensor(o["values"]))
        for o in meta["outputs"]
    ]
    generator = torch.Generator().manual_seed(SEED)
    inputs = [torch.randn(shape, generator=generator) for shape in meta["inputs"]]
    return Recorded(name, _weights(meta), inputs, outputs)


def load_whole(folder: Path, name: str) -> Recorded:
    """A model as the folder of fixtures holds it, every value of every output."""
    meta = json.loads((folder / f"{name}.json").read_text())
    arrays = np.load(folder / f"{name}.npz")

    def tensors(prefix: str) -> list[Tensor]:
        return [
            torch.from_numpy(arrays[f"{prefix}{i}"])
            for i in range(9)
            if f"{prefix}{i}" in arrays.files
        ]

    outputs = [Sample(tuple(o.shape), float(o.abs().max()), 1, o.flatten()) for o in tensors("out")]
    return Recorded(name, _weights(meta), tensors("in"), outputs)


def _weights(meta: dict) -> dict[str, Tensor]:
    return {
        k: recipe(meta["aliases"].get(k, k), tuple(shape))
        for k, shape in meta["state_dict"].items()
    }


def run(recorded: Recorded, folder: Path) -> tuple[Imported, list[Tensor]]:
    """Write the weights as a DataParallel checkpoint, import it, and run our model on the recorded
    inputs."""
    method, role = CASES[recorded.name]
    checkpoint = folder / f"{recorded.name}.pth"
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in recorded.weights.items()}},
        checkpoint,
    )
    imported = import_checkpoints(parse_variant(method), [checkpoint], role=role)
    (path,) = imported.save(checkpoint.with_suffix(".safetensors"))
    model = build(open_weights(path), partial=True)
    with torch.inference_mode():
        return imported, imported.originals[0].outputs(model, recorded.inputs)


def table(folder: Path) -> str:
    """The comparison as Markdown: every output of every model, over all its values."""
    lines = [
        "| original | imported into | output | shape | largest difference / largest magnitude |",
        "|---|---|---|---|---|",
    ]
    for case in CASES:
        recorded = load_whole(folder, case)
        with tempfile.TemporaryDirectory() as scratch:
            imported, outputs = run(recorded, Path(scratch))
        for number, (expected, output) in enumerate(zip(recorded.outputs, outputs, strict=True), 1):
            shape = "x".join(map(str, expected.shape))
            first = f"{imported.sources[0]} | `{imported.variant}`" if number == 1 else " | "
            lines.append(f"| {first} | {number} | {shape} | {expected.difference(output):.1e} |")
    return "\n".join(lines)


def write_sample(folder: Path, name: str) -> None:
    """Take a sample of a whole recording. The inputs must be those that the seed gives."""
    whole = load_whole(folder, name)
    meta = json.loads((folder / f"{name}.json").read_text())
    generator = torch.Generator().manual_seed(SEED)
    for given in whole.inputs:
        assert torch.equal(given, torch.randn(given.shape, generator=generator)), (
            f"{name}: the inputs are not the seed's"
        )
    outputs = []
    for output in whole.outputs:
        step = max(1, output.values.numel() // (VALUES // len(whole.outputs)))
        values = [round(float(value), 7) for value in output.values[::step]]
        outputs.append(
            {"shape": output.shape, "largest": output.largest, "step": step, "values": values}
        )
    sample = {
        "commit": meta["commit"],
        "state_dict": meta["state_dict"],
        "aliases": meta["aliases"],
        "inputs": [list(given.shape) for given in whole.inputs],
        "outputs": outputs,
    }
    text = json.dumps(sample, separators=(",", ":")) + "\n"
    # the same sample gives the same bytes
    (SAMPLES / f"{name}.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    given = Path(sys.argv[1])
    if "--table" in sys.argv:
        print(table(given))
    else:
        for case in CASES:
            write_sample(given, case)
