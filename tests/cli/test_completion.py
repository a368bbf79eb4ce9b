"""Completion as the shells ask for it: names, parameters and choices, without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from vssbench.cli import bench
from vssbench.cli.completion import SHELLS, VARIABLE, continued, parameters
from vssbench.core import registry
from vssbench.core.parameters import choices
from vssbench.core.variant import format_value

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = [(kind, name) for kind in registry.KINDS for name in registry.plugins(kind)]
#: the command in a fresh process, which says on stderr if torch was imported
COMMAND = (
    "import sys; sys.argv[0] = 'vssbench'\n"
    "from vssbench.cli import main\n"
    "try:\n    main()\n"
    "finally:\n"
    "    heavy = {'torch', 'av', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)\n"
    "    print('imported', *heavy, file=sys.stderr)\n"
)


def answered(shell: str, words: str, number: int) -> list[str]:
    environment = {**os.environ, VARIABLE: f"{shell}_complete", "COMP_WORDS": words}
    environment |= {"COMP_CWORD": str(number) if shell != "fish" else words.split("\n")[-1]}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "imported\n"
    return done.stdout.splitlines()


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_parameters_are_those_of_the_class(kind: str, name: str) -> None:
    """Read from the source, they are what the registry finds in the class."""
    cls = registry.load(kind, name)
    found = parameters(kind, name)
    assert list(found) == list(registry.parameters(cls))
    for key, allowed in choices(cls).items():
        assert found[key] == tuple(format_value(value) for value in allowed)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arse", ["arseg", "arsegdata"]),
        ("arseg[warp=", ["arseg[warp=exact", "arseg[warp=paper", "arseg[warp=off"]),
        ("arseg[scale=0.5,back", ["arseg[scale=0.5,backbone="]),
        ("camvid[cl", ["camvid[classes="]),
        ("camvid[classes=", ["camvid[classes=11", "camvid[classes=12"]),
        ("copy[network=icn", ["copy[network=icnet"]),
        ("copy[network=icnet[form=l", ["copy[network=icnet[form=liminn"]),
        ("icnet[form=paper,for", []),
        ("unknown[", []),
        ("]]][[", []),
    ],
)
def test_a_variant_goes_on(text: str, expected: list[str]) -> None:
    assert continued(text, tuple(registry.KINDS)) == expected


def test_a_whole_name_may_end_or_take_brackets() -> None:
    assert continued("pspnet", ("methods",)) == ["pspnet", "pspnet["]


@pytest.mark.parametrize(
    ("words", "number", "expected"),
    [
        ("vssbench\nta", 1, ["plain,table"]),
        ("vssbench\nrun\n--data-r", 2, ["plain,--data-root"]),
        ("vssbench\nrun\n-m\npsp", 3, ["plain,pspnet"]),
        ("vssbench\nrun\n-c\nh264[pre", 3, ["plain,h264[preset="]),
        # as bash splits arseg[warp=p, and the same at the sign itself
        ("vssbench\nrun\n-m\narseg[warp\n=\np", 5, ["plain,paper"]),
        ("vssbench\nrun\n-m\ncopy[network\n=", 4, None),
        ("vssbench\nrun\n--method\n=\narseg[warp\n=\no", 6, ["plain,off"]),
        ("vssbench\ndata\nverify\ncamv", 3, ["plain,camvid"]),
        ("vssbench\ninfo\nmpeg", 2, ["plain,mpeg2", "plain,mpeg4"]),
    ],
)
def test_bash(words: str, number: int, expected: list[str] | None) -> None:
    found = answered("bash", words, number)
    if expected is None:
        assert {"plain,pspnet", "plain,icnet"} <= set(found)
    else:
        assert found == expected


def test_zsh_and_fish() -> None:
    assert answered("zsh", "vssbench\nrun\n-m\npsp", 3)[:2] == ["plain", "pspnet"]
    (line,) = answered("fish", "vssbench\nrun\n-m\narseg[scale=0.5,warp=p", 3)
    assert line.startswith("plain,arseg[scale=0.5,warp=paper")


@pytest.mark.parametrize("shell", list(SHELLS))
def test_the_code_for_a_shell(shell: str) -> None:
    result = CliRunner().invoke(bench, ["completion", shell])
    assert result.exit_code == 0, result.output
    assert f"{VARIABLE}={shell}_complete" in result.stdout
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=result.stdout, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
    assert shell != "fish" or 'string split -m 1 ","' in result.stdout
    assert shell != "bash" or "compopt -o nospace" in result.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bashs_function_gives_the_replies(tmp_path: Path) -> None:
    """Bash itself runs the code that is printed."""
    (tmp_path / "vssbench").write_text(
        f"#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -c "
        '\'import sys; sys.argv[0] = "vssbench"; from vssbench.cli import main; main()\' "$@"\n'
    )
    (tmp_path / "vssbench").chmod(0o755)
    script = (
        'compopt() { echo "compopt $1 $2"; }\n'
        'eval "$(vssbench completion bash)"\n'
        "COMP_WORDS=(vssbench run -m 'arseg[back'); COMP_CWORD=3\n"
        '_vssbench_completion vssbench; echo "${COMPREPLY[@]}"\n'
    )
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["compopt -o nospace", "arseg[backbone="], done.stderr
