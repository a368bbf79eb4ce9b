"""Hostile command lines: odd numbers, long options, controls, full devices, Ctrl-C."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.warm import Warm
from vssbench.cli import LONGEST_ARGUMENT, bench
from vssbench.core.errors import UsageError, VssbenchError
from vssbench.core.progress import messages
from vssbench.core.shown import LONGEST, Guarded, message
from vssbench.core.variant import parse_variant
from vssbench.cost.gmacs import meta_model

ROOT = Path(__file__).parents[2]
STREET = "synthetic[height=64,width=64,clips=1,frames=4]"


def refused(*arguments: str) -> str:
    """The one message of a command that is refused."""
    result: Result = CliRunner().invoke(bench, list(arguments))
    assert result.exit_code, result.output
    if isinstance(result.exception, SystemExit):
        assert "Traceback" not in result.output
        return " ".join(result.output.split())
    assert isinstance(result.exception, VssbenchError), repr(result.exception)
    return str(result.exception)


@pytest.mark.parametrize("value", ["nan", "inf", "0", "-1", "-inf", "1e300"])
@pytest.mark.parametrize("command", [("weights", "import", "pspnet", "a.pth"), ("train", "pspnet")])
def test_sizes_of_parts_are_numbers_above_0(command: tuple[str, ...], value: str) -> None:
    assert "--part-size" in refused(*command, "--part-size", value)


@pytest.mark.parametrize("value", ["-1", "99999999999", "9" * 5000])
def test_seeds_are_whole_numbers(value: str) -> None:
    assert "--seed" in refused("train", "pspnet", "--seed", value)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--lr", "nan"), ("--memory", "inf"), ("--minutes", "nan"), ("--epochs", "1" * 30)],
)
def test_numbers_are_finite(option: str, value: str) -> None:
    assert option in refused("train", "pspnet", option, value)


@pytest.mark.parametrize("value", ["0", "99999999999999", "9" * 5000])
def test_a_huge_gop_is_refused(value: str) -> None:
    assert "--gop" in refused("run", "--gop", value)
    with pytest.raises(VssbenchError, match=r"gop|too large"):
        CliRunner().invoke(bench, ["run", "-c", f"h264[gop={value}]"], catch_exceptions=False)


def test_a_huge_network_is_refused_before_it_is_made() -> None:
    with pytest.raises(UsageError, match=r"MiB of weights, and at most 4096 are taken"):
        meta_model(parse_variant("pspnet[width=30]"), 11)


def test_a_huge_size_is_refused(tmp_path: Path) -> None:
    said = refused("segment", "a.mp4", "-o", str(tmp_path / "o.mp4"), "--size", "100000x100000")
    assert "10000 million pixels" in said
    assert "VSSBENCH_MAX_MEGAPIXELS" in said


def test_long_options_are_shortened(commands: Warm) -> None:
    made = commands.start(["run", "--protocol", "x" * 10_000], ROOT, dict(os.environ))
    said, _ = made.communicate()
    assert made.wait() == 2
    assert "characters left out" in said
    assert len(said) < LONGEST + 500
    assert len(refused("plot", "x" * 10_000, "-o", "a.png")) < 3 * LONGEST
    assert len(message("y" * 1_000_000)) < LONGEST + 100


def test_an_argument_of_a_million_characters_is_one_line() -> None:
    # the system takes 128 KiB for one argument
    made = subprocess.run(
        [sys.executable, "bench.py", "run", "-m", "x" * 100_000], cwd=ROOT, capture_output=True,
        text=True,
    )  # fmt: skip
    assert made.returncode == 2
    assert f"at most {LONGEST_ARGUMENT} are taken" in made.stderr
    assert len(made.stderr) < 300


def test_controls_are_shown_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    assert message("a\x1b[2J\x9bb\u202ec\td\n") == "a\\x1b[2J\\x9bb\\u202ec\td\n"
    messages().print("evil\x1b]0;title\x07name")
    assert "\x1b]0" not in capsys.readouterr().err


def test_a_terminal_gets_colours_and_no_other_controls() -> None:
    terminal = io.StringIO()
    stream = Guarded(terminal)
    stream.write("\x1b[1mbold\x1b[0m \x1b[2J\x1b]0;x\x07\r")
    stream.writelines(["line\n"])
    stream.flush()
    assert terminal.getvalue() == "\x1b[1mbold\x1b[0m \\x1b[2J\\x1b]0;x\\x07\\rline\n"


def test_output_to_a_full_device_is_one_message(full_device: Path) -> None:
    with full_device.open("w") as full:
        made = subprocess.run(
            [sys.executable, "bench.py", "list"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
    assert made.returncode == 2
    assert made.stderr.splitlines() == [
        "Error: the output cannot be written: No space left on device; check the disk and the "
        "folder"
    ]


def test_ctrl_c_says_what_is_kept_and_exits_130(tmp_path: Path, commands: Warm) -> None:
    street = STREET.replace("frames=4", "frames=4000")
    words = ["run", "-c", "raw", "-m", "pspnet", "--runs", str(tmp_path / "runs")]
    process = commands.start([*words, "-d", STREET, "-d", street], ROOT, dict(os.environ))
    said = ""
    while "[2/2]" not in said:
        part = os.read(process.said, 1 << 16)
        assert part, said
        said += part.decode()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    said += process.communicate()[0]
    assert process.wait() == 130, said
    assert f"1 of 2 experiments are kept in {tmp_path / 'runs'}" in said
    assert "the same command goes on" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("value", ["9" * 400, "1" * 16, "nan", "x5", "0", "1e9"])
def test_times_and_sizes_are_bounded(value: str, tmp_path: Path) -> None:
    said = refused("cache", "limit", value, "--runs", str(tmp_path))
    assert "is not a size as 500M or 4G" in said
    assert len(said) < 120
    for option in ("--time-limit", "--memory-limit"):
        assert option in refused("sweep", "-m", "copy", option, value)
