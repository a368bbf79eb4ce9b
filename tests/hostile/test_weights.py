"""Damaged and hostile weight files and checkpoints: one message, bounded memory, nothing run."""

from __future__ import annotations

import io
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from tests.hostile.conftest import Campaign
from tests.hostile.mutators import of_bytes, of_text
from vssbench.core.errors import WeightsError
from vssbench.weights.account import describe
from vssbench.weights.checkpoint import read_checkpoint
from vssbench.weights.convert import read_rules
from vssbench.weights.file import is_ours, open_weights, part_path
from vssbench.weights.writing import pack

STATE = {f"module.layer{number}.weight": torch.ones(8, 4) * number for number in range(3)}
RECORD = {
    "method": "pspnet", "classes": '["road", "sky"]', "training": '{"seconds": 3}', "parts": "1",
    "mean": "[0.4, 0.4, 0.4]",
}  # fmt: skip


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Sound files of every kind."""
    folder = tmp_path_factory.mktemp("weights")
    held = {"state_dict": STATE, "epoch": 3}
    torch.save(held, folder / "new.pth")
    torch.save(held, folder / "old.pth", _use_new_zipfile_serialization=False)
    save_file(STATE, folder / "plain.safetensors", RECORD)
    pack(folder / "packed.safetensors", open_weights(folder / "plain.safetensors"), [])
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def whole(path: Path) -> None:
    file = open_weights(path)
    file.usable()
    assert file.sha256


def test_mutated_weights(samples: dict[str, bytes], campaign: Campaign, tmp_path: Path) -> None:
    readers: tuple[Callable[[Path], object], ...] = (whole, read_checkpoint, describe)

    def take(rng: random.Random) -> None:
        name = rng.choice(sorted(samples))
        path = tmp_path / f"mutated{Path(name).suffix}"
        path.write_bytes(of_bytes(samples[name], rng))
        rng.choice(readers)(path)

    for seed in campaign.seeds(0.4):
        campaign.attempt(seed, take)
    campaign.check()
    assert campaign.refused > campaign.inputs * 0.1


RULES = b'rename = [["^module", "net"], ["(a)b", "\\\\1"]]\nunused = [["^head", "not here"]]\n'


def test_mutated_rules(campaign: Campaign, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"

    def take(rng: random.Random) -> None:
        path.write_bytes(of_text(RULES, rng))
        read_rules(path)

    for seed in campaign.seeds(0.1):
        campaign.attempt(seed, take)
    campaign.check()
    assert campaign.refused


def test_a_part_that_is_missing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "parted.safetensors"
    save_file(STATE, path, RECORD | {"parts": "2"})

    file = open_weights(path)
    with pytest.raises(WeightsError, match=r"part2 is missing or damaged: No such file"):
        _ = file.sha256
    part_path(path, 2).mkdir()
    with pytest.raises(WeightsError, match="part2 is missing or damaged"):
        _ = file.sha256


def test_a_deflated_storage_is_refused_before_it_is_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "deflated.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deflated/data/0", bytes(64 << 20))
    monkeypatch.setenv("VSSBENCH_MAX_WEIGHTS_MIB", "16")

    assert path.stat().st_size < 1 << 20
    with pytest.raises(WeightsError, match=r"64 MiB of weights, and at most 16 are taken"):
        read_checkpoint(path)


def huge_stride(tmp_path: Path) -> Any:
    """A tensor of 10^12 values, all of which are one in the file."""
    return torch.ones(1).expand(10**6, 10**6)


def sparse(tmp_path: Path) -> Any:
    return torch.sparse_coo_tensor([[0], [0]], [1.0], (10**6, 10**6))


@pytest.mark.parametrize(
    ("make", "message"),
    [(huge_stride, "MiB of weights, and at most"), (sparse, "of another kind")],
)
def test_tensors_larger_than_their_file_are_refused(
    make: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    torch.save({"weight": make(tmp_path)}, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match=message):
        read_checkpoint(tmp_path / "odd.pth")


def test_a_dictionary_within_itself_is_refused(tmp_path: Path) -> None:
    held: dict[str, Any] = {"a": torch.ones(1)}
    held["state_dict"] = held
    torch.save(held, tmp_path / "ring.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsError, match="holds no named tensors"):
        read_checkpoint(tmp_path / "ring.pth")


def test_an_odd_pickle_is_a_message(tmp_path: Path) -> None:
    for number, content in enumerate(
        (b"\x80\x02.", b"\x80\x02K", b"\x80\x02}q\x00(." * 9, b"\x80")
    ):
        path = tmp_path / f"{number}.pth"
        path.write_bytes(content)
        with pytest.raises(WeightsError):
            read_checkpoint(path)
    made = io.BytesIO()
    pickle.dump({"state_dict": {}}, made)
    (tmp_path / "empty.pth").write_bytes(made.getvalue())
    with pytest.raises(WeightsError):
        read_checkpoint(tmp_path / "empty.pth")


def test_run_with_a_missing_part_is_one_message(samples: dict[str, bytes], tmp_path: Path) -> None:
    from vssbench.cli import bench

    path = tmp_path / "parted.safetensors"
    save_file(STATE, path, RECORD | {"parts": "2"})
    result = CliRunner().invoke(bench, ["weights", "info", str(path)])
    assert isinstance(result.exception, WeightsError), result.exception


@pytest.mark.parametrize("reader", [open_weights, is_ours, read_checkpoint, describe])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "is a device or a pipe: expected a file"),
        (Path.mkdir, "is a folder: expected a file"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"),
    ],
)
def test_what_is_no_file_is_called_what_it_is(
    reader: Callable[[Path], object], make: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "odd.pth"
    make(path)
    with pytest.raises(WeightsError, match=said):
        reader(path)
