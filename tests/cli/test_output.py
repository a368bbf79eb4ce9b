"""Files that commands write: none is written over unasked, an input never is, devices stay what
they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from vssbench.cli import bench
from vssbench.core.errors import UsageError

STREET = "synthetic[height=64,width=96,clips=1,frames=6]"
#: a command that writes a file, its option, the file's name; each is refused before it does any
#: work
COMMANDS = [
    (["plot", "pareto"], "-o", "a.png"),
    (["plot", "rate", "--quality", "psnr"], "-o", "a.pdf"),
    (["codec", "show", STREET], "-o", "a.png"),
    (["codec", "show", STREET], "-o", "a.csv"),
    (["weights", "import", "pspnet", "given.pth"], "-o", "a.safetensors"),
    (["train", "pspnet", "-d", STREET], "--out", "a.safetensors"),
]


def call(*arguments: object):
    return CliRunner().invoke(bench, [str(each) for each in arguments])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("given.pth").write_text("given")


@pytest.mark.parametrize(("command", "option", "name"), COMMANDS)
def test_a_file_that_is_there_is_not_written_over_unasked(
    command: list[str], option: str, name: str
) -> None:
    Path(name).write_text("precious")
    result = call(*command, option, name)
    assert isinstance(result.exception, UsageError)
    assert f"{option} {name} is there already" in str(result.exception)
    assert "--force" in str(result.exception)
    assert Path(name).read_text() == "precious"


@pytest.mark.parametrize("command", ["plot", "codec show", "weights import", "train", "segment"])
def test_every_command_that_writes_a_file_has_force(command: str) -> None:
    assert "--force" in call(*command.split(), "--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["weights", "import", "pspnet", "given.safetensors"],
        ["weights", "import", "pspnet", "given.safetensors", "-o", "given.safetensors"],
        ["weights", "import", "pspnet", "given.safetensors", "-o", "link.safetensors"],
        [
            "train",
            "pspnet",
            "-d",
            STREET,
            "--init",
            "given.safetensors",
            "--out",
            "given.safetensors",
        ],
        ["codec", "show", "given.mp4", "-o", "given.mp4"],
    ],
)
def test_an_input_is_not_written_over_even_with_force(arguments: list[str]) -> None:
    names = ("given.safetensors", "given.mp4")
    for name in names:
        Path(name).write_text("precious")
    Path("link.safetensors").symlink_to("given.safetensors")
    result = call(*arguments, "--force")
    assert isinstance(result.exception, UsageError)
    assert "is read by this command" in str(result.exception)
    assert [Path(name).read_text() for name in names] == ["precious"] * 2


@pytest.mark.parametrize(
    "left",
    [
        "a.safetensors.part2",
        "a.safetensors.checkpoint",
        "a.best.safetensors",
        "a.safetensors.curve.png",
    ],
)
def test_parts_and_checkpoints_of_another_training_are_not_written_over(left: str) -> None:
    Path(left).write_text("precious")
    result = call("train", "pspnet", "-d", STREET, "--out", "a.safetensors")
    assert isinstance(result.exception, UsageError)
    assert left in str(result.exception)
    assert Path(left).read_text() == "precious"


@pytest.mark.parametrize(
    "command",
    [
        ["weights", "import", "pspnet", "given.pth", "-o"],
        ["train", "pspnet", "-d", STREET, "--out"],
    ],
)
@pytest.mark.parametrize("device", ["full", "link"])
def test_weights_are_not_written_to_devices(
    command: list[str], device: str, full_device: Path
) -> None:
    Path("link").symlink_to(full_device)
    result = call(*command, device, "--force")
    assert "is a device or a pipe" in str(result.exception)
    assert full_device.is_char_device()
    assert Path("link").is_symlink()


@pytest.mark.parametrize("name", ["a.csv", "a.png", "a.gif", "a.mp4"])
def test_a_link_to_a_full_device_is_said_and_stays(name: str, full_device: Path) -> None:
    Path(name).symlink_to(full_device)
    result = call("codec", "show", STREET, "-c", "raw", "-o", name)
    assert f"cannot write {name}: No space left on device; make room" in str(result.exception)
    assert Path(name).is_symlink()
    assert full_device.is_char_device()


def test_force_replaces_a_file() -> None:
    Path("a.csv").write_text("old")
    assert call("codec", "show", STREET, "-c", "raw", "-o", "a.csv", "--force").exit_code == 0
    assert Path("a.csv").read_text().startswith("frame,type,")
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]
