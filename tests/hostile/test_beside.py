"""Files that the program keeps for itself beside runs, or reads beside a file that was named:
records of streams, limits, indices, parts."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from tests.hostile.test_stores import SOUND, write
from tests.hostile.test_weights import RECORD, STATE
from vssbench.codec import cache as caches
from vssbench.codec.bitstream import bitstream
from vssbench.codec.encode import EncoderSettings
from vssbench.codec.quality import CodedFrame
from vssbench.core import registry
from vssbench.core.errors import DataError, UsageError, WeightsError
from vssbench.core.reading import read_toml
from vssbench.core.variant import parse_variant
from vssbench.core.video import Clip
from vssbench.data.footage import folder_clip
from vssbench.report.index import facts
from vssbench.report.index_file import INDEX
from vssbench.run.store import RunStore
from vssbench.sweep.points import read as read_sweep
from vssbench.weights.convert import read_rules
from vssbench.weights.file import open_weights, part_path

LENGTH = 3
SETTINGS = EncoderSettings("libx264", LENGTH, options={"preset": "ultrafast"})
#: texts in which values are nested deeper than Python's reader goes
NESTED = ("[" * 100_000, '{"bytes":' * 100_000)
Frames = list[dict[str, Any]]


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


@pytest.fixture(scope="module")
def clip() -> Clip:
    street = parse_variant(f"synthetic[height=32,width=48,clips=1,frames={LENGTH}]")
    (found,) = registry.create("datasets", street).clips()
    return found


@pytest.fixture(scope="module")
def encoded(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[CodedFrame]]:
    """A cache with one stream, and what its record says."""
    cache = tmp_path_factory.mktemp("cache")
    with bitstream(clip, SETTINGS, cache) as stream:
        return cache, stream.frames


@pytest.mark.parametrize(
    "change",
    [
        lambda frames: [each | {"psnr_db": "x"} for each in frames],
        lambda frames: [each | {"psnr_db": float("nan")} for each in frames],
        lambda frames: [each | {"psnr_db": None} for each in frames],
        lambda frames: [each | {"ssim": 10**400} for each in frames],
        lambda frames: [each | {"ssim": True} for each in frames],
        lambda frames: [each | {"picture_type": []} for each in frames],
        lambda frames: [each | {"more": 1} for each in frames],
        lambda frames: frames[:1],
        lambda frames: frames * 2,
        lambda frames: {"frames": frames},
    ],
)
def test_a_stream_whose_record_cannot_be_is_encoded_again(
    change: Callable[[Frames], Any], clip: Clip, encoded: tuple[Path, list[CodedFrame]],
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """It was measured by what the record says."""
    cache, frames = encoded
    shutil.copytree(cache, tmp_path / "cache")
    (record,) = (tmp_path / "cache").glob("*.json")
    record.write_text(json.dumps(change(json.loads(record.read_text()))))
    with bitstream(clip, SETTINGS, tmp_path / "cache") as stream:
        assert stream.frames == frames
    assert "is not as it was written" in caplog.text
    assert json.loads(record.read_text()) == [asdict(each) for each in frames]


@pytest.mark.parametrize("suffix", ["mkv", "json"])
@pytest.mark.parametrize("put", [pipe, device])
def test_a_pipe_or_a_device_in_the_cache_does_not_hang(
    suffix: str, put: Callable[[Path], None], clip: Clip, tmp_path: Path,
    encoded: tuple[Path, list[CodedFrame]],
) -> None:  # fmt: skip
    cache, frames = encoded
    shutil.copytree(cache, tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob(f"*.{suffix}")
    put(path)
    with bitstream(clip, SETTINGS, tmp_path / "cache") as stream:
        assert stream.frames == frames
        assert stream.path.is_file()


@pytest.mark.parametrize("put", [pipe, device, *(lambda p, t=t: p.write_text(t) for t in NESTED)])
def test_a_limit_that_does_not_read_is_said(put: Callable[[Path], None], tmp_path: Path) -> None:
    put(tmp_path / "limit.json")
    with pytest.raises(DataError, match=r"limit\.json does not read: .*; set the limit anew"):
        caches.limit(tmp_path)


@pytest.mark.parametrize("put", [pipe, device, *(lambda p, t=t: p.write_text(t) for t in NESTED)])
def test_an_index_that_does_not_read_is_none(put: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path, SOUND)
    put(tmp_path / INDEX)
    (found,) = facts(RunStore(tmp_path))
    assert found.row["run_id"] == SOUND


def test_a_pipe_among_images_does_not_hang(tmp_path: Path) -> None:
    for index in range(2):
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / f"{index}.png")
    os.mkfifo(tmp_path / "2.png")
    with pytest.raises(DataError, match=r"2\.png is a device or a pipe"):
        folder_clip(tmp_path)


def test_a_pipe_in_the_place_of_a_part_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "parted.safetensors"
    save_file(STATE, path, RECORD | {"parts": "2"})
    os.mkfifo(part_path(path, 2))
    for ask in (lambda file: file.sha256, lambda file: file.tensors()):
        with pytest.raises(WeightsError, match=r"part2 is missing or damaged: .* device or a pipe"):
            ask(open_weights(path))


@pytest.mark.parametrize("text", ["a" + ".a" * 100_000 + " = 1", ("a" + ".a" * 4000 + "=1\n") * 9])
def test_keys_of_many_parts_are_refused_before_they_are_read(text: str, tmp_path: Path) -> None:
    """Python's reader takes the square of the parts in time and memory."""
    path = tmp_path / "grid.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match="its keys have too many parts"):
        read_toml(path)
    with pytest.raises(WeightsError, match="its keys have too many parts"):
        read_rules(path)
    with pytest.raises(UsageError, match="its keys have too many parts"):
        read_sweep(path)
    path.write_text("a.b.c = 1.5\n")
    assert read_toml(path) == {"a": {"b": {"c": 1.5}}}
