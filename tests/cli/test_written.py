"""Every command that writes a file, by the tree of commands: what is there stays without --force,
an input always, a device is written to or refused and stays what it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tests.datasets import fakes
from tests.segment.conftest import make
from tests.sweep.stored import write
from vssbench.cli import bench, installation
from vssbench.cli.installation import Finding
from vssbench.core.errors import UsageError, VssbenchError
from vssbench.weights.shipped import shipped_folder

__all__ = ["make"]  # the fixture

#: options and arguments that name what is read
READ = {
    "--clip", "--compare", "--data-root", "--init", "--map", "--refer", "--times", "--videos",
    "--weights",
    "FILE", "FILES", "FOLDERS", "PREDICTIONS", "STORES", "VIDEO",
}  # fmt: skip
#: stores and folders that are added to, by their own rules
ADDED_TO = {"--runs", "--frame-folder"}
#: what a folder that is there already is told by
THERE = "is there already|is not empty|holds an export|is a file"


@dataclass(frozen=True)
class Command:
    """A command that writes: its arguments, its option, the name it is given; files that it reads,
    or that lie in a folder that it reads. ``device``: it writes to devices, or refuses them."""

    arguments: tuple[str, ...]
    name: str
    inputs: tuple[str, ...] = ()
    device: bool = False
    option: str = "--out"

    @property
    def force(self) -> list[str]:
        """The option that lets it replace what is there."""
        return [] if self.arguments[0] == "new" else ["--force"]


RUNS = ("--runs", "runs")
#: a file of a run that is stored
STORED = "runs/r0/result.json"
SEGMENT = ("segment", "a.mp4", "--weights", "a.safetensors")
COMMANDS = {
    "codec show": Command(
        ("codec", "show", "a.mp4", "-c", "raw"), "out.csv", ("a.mp4",), device=True
    ),
    "collect": Command(("collect", "runs"), "out.parquet", (STORED,), device=True),
    "doctor": Command(("doctor", *RUNS), "out.md", (STORED,), device=True),
    "export": Command(
        ("export", "folder", "--data-root", "mine", *RUNS), "out", ("mine", "mine/drive")
    ),
    "new": Command(("new", "method", "my_net"), "out"),
    "plot": Command(("plot", "pareto", *RUNS), "out.svg", (STORED,), device=True),
    "report": Command(
        ("report", *RUNS, "--weights", "a.safetensors", "--data-root", "mine"), "out.html",
        (STORED, "a.safetensors", "mine/classes.txt"), device=True,
    ),
    "segment": Command(SEGMENT, "out.mp4", ("a.mp4", "a.safetensors"), device=True),
    "segment --stats": Command(
        (*SEGMENT, "-o", "b.mp4"), "out.csv", ("a.mp4", "a.safetensors"), True, "--stats"
    ),
    "train": Command(
        ("train", "bisenet", "-d", "folder", "--data-root", "mine", "--init", "a.safetensors"),
        "out.safetensors", ("a.safetensors", "mine/classes.txt"),
    ),
    "weights convert": Command(
        ("weights", "convert", "pspnet", "a.pth", "--map", "rules.toml", "--classes", "3"),
        "out.safetensors", ("a.pth", "rules.toml"),
    ),
    "weights import": Command(
        ("weights", "import", "arseg", "a.pth", "b.pth"), "out.safetensors", ("a.pth", "b.pth")
    ),
    "weights pack": Command(
        ("weights", "pack", "a.safetensors", "--refer", "b.safetensors"), "out.safetensors",
        ("a.safetensors", "b.safetensors"),
    ),
    "weights unpack": Command(
        ("weights", "unpack", "a.safetensors"), "out.safetensors", ("a.safetensors",)
    ),
}  # fmt: skip
every = pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))


def commands_of(group: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield the name of each command with each of its options and arguments that is a path."""
    if isinstance(group, click.Group):
        for name, command in group.commands.items():
            yield from commands_of(command, (*words, name))
        return
    for parameter in group.params:
        if isinstance(parameter.type, (click.Path, click.File)):
            option = isinstance(parameter, click.Option)
            yield " ".join(words), parameter.opts[-1] if option else str(parameter.name).upper()


def test_every_option_that_names_a_file_is_read_or_tested_here() -> None:
    written = {
        name if option == "--out" else f"{name} {option}"
        for name, option in commands_of(bench)
        if option not in READ | ADDED_TO and (name, option) != ("sweep", "FILE")
        and (name, option) != ("plan", "FILE")
    }  # fmt: skip
    assert written == set(COMMANDS)


@pytest.fixture(autouse=True)
def _here(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with all that the commands read."""
    monkeypatch.chdir(tmp_path)
    make("a.mp4", length=2)
    weights = shipped_folder() / "bisenet-w0.25-synthetic.safetensors"
    for name in ("a.safetensors", "b.safetensors"):
        shutil.copy(weights, name)
    for name in ("a.pth", "b.pth"):
        Path(name).write_bytes(b"given")
    Path("rules.toml").write_text("")
    write(tmp_path / "runs", "r0", gmacs_gop=9.0, height=64, width=96, gop=12)
    fakes.folder(tmp_path / "mine")
    for folder in ("mine", "mine/drive"):  # as `export` leaves them
        Path(folder, "export.json").write_text("{}")
    monkeypatch.setattr(
        installation, "findings", lambda *given: iter([Finding("torch", "ok", "2")])
    )


def call(command: Command, name: str, *more: str) -> Result:
    arguments = [*command.arguments, command.option, name, *more]
    return CliRunner().invoke(bench, arguments)


def everything() -> dict[str, bytes]:
    """Return all files here and what they hold."""
    return {str(path): path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}


@every
def test_what_is_there_is_kept_without_force(command: Command) -> None:
    place = Path(command.name)
    if not place.suffix:
        place = place / ("README.md" if command.arguments[0] == "new" else "frame.png")
        place.parent.mkdir()
    place.write_bytes(b"precious")
    before = everything()
    result = call(command, command.name)
    assert isinstance(result.exception, UsageError), result.output
    assert any(words in str(result.exception) for words in THERE.split("|")), result.exception
    assert everything() == before


@every
def test_an_input_is_never_written_over(command: Command) -> None:
    for given in command.inputs:
        link = Path("link").with_suffix(Path(command.name).suffix)
        link.symlink_to(given)
        before = everything()
        result = call(command, str(link), *command.force)
        assert isinstance(result.exception, UsageError), (given, result.output)
        assert "read" in str(result.exception), given
        assert everything() == before, given
        assert os.readlink(link) == given
        link.unlink()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("codec", "show", "folder[root=mine]:drive"), "mine/out.csv"),
        (("export", "folder[root=mine]"), "mine/drive"),
        (("train", "bisenet", "-d", "folder[root=mine]"), "mine/out.safetensors"),
    ],
)
def test_a_root_in_brackets_is_an_input_too(command: tuple[str, ...], name: str) -> None:
    if Path(name).suffix:
        Path(name).write_bytes(b"precious")
    before = everything()
    result = call(Command(command, name), name, "--force")
    assert isinstance(result.exception, UsageError), (result.output, result.exception)
    assert "read" in str(result.exception)
    assert everything() == before


@every
def test_a_device_stays_what_it_is(command: Command, full_device: Path) -> None:
    link = Path(command.name)
    link.symlink_to(full_device)
    before = everything()
    result = call(command, command.name, *command.force)
    assert isinstance(result.exception, VssbenchError), (result.output, result.exception)
    named = ("No space left on device; make room",) if command.device else (command.name, "full")
    assert any(words in str(result.exception) for words in named), result.exception
    assert full_device.is_char_device()
    assert os.readlink(link) == str(full_device)
    assert {name: data for name, data in everything().items() if name != "b.mp4"} == before
