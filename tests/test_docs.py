"""The documentation: every page is in the site's contents, no link is dead, written parts are true,
tutorials run as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.warm import Warm
from tools.method_pages import BEGIN, END, block, names
from tools.site_links import inside
from vssbench.cli import bench
from vssbench.codec.vectors.proof import pan

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
OTHERS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md")
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")
TUTORIALS = (
    "first-steps.md",
    "adding-a-method.md",
    "adding-a-dataset.md",
    "adding-a-codec.md",
)


def headings(path: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def dead_links(path: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    dead = []
    for link in LINK.findall(text):
        target, _, anchor = link.partition("#")
        place = path.parent / target if target else path
        if "://" in link or link.startswith("mailto:"):
            continue
        if not place.exists() or (anchor and anchor not in headings(place)):
            dead.append(link)
    return dead


def test_every_page_is_in_the_contents_once() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    assert sorted(re.findall(r"^ *- (\S+\.md)$", nav, re.MULTILINE)) == PAGES


@pytest.mark.parametrize("page", [*(f"docs/{page}" for page in PAGES), *OTHERS])
def test_no_link_is_dead(page: str) -> None:
    if page == "SECURITY.md" and not (ROOT / page).exists():
        return
    assert dead_links(ROOT / page) == []


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A title, here\n")
    page = tmp_path / "page.md"
    page.write_text("[a](there.md) [b](there.md#a-title-here) [c](gone.md) [d](there.md#other)\n")
    assert dead_links(page) == ["gone.md", "there.md#other"]


def test_links_out_of_the_pages_become_names() -> None:
    assert inside("[b](../benchmarks/README.md#x)", "cost.md") == "b (`benchmarks/README.md`)"
    assert inside("![p](../results/a.png)", "cost.md") == "![p](results/a.png)"
    assert inside("[f](../fidelity.md)", "methods/arseg.md") == "[f](../fidelity.md)"


def test_the_gallery_shows_every_picture_that_was_measured() -> None:
    text = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    pictures = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "results/reference").glob("*/*.png")
    }
    assert pictures
    assert set(re.findall(r"!\[[^\]]+\]\(\.\./([^)]+)\)", text)) == pictures


def plotted(text: str) -> set[tuple[str, ...]]:
    """Return the arguments of every ``bench.py plot`` of a text but the output's folder."""
    found = set()
    for call in re.findall(r"bench\.py (plot [^`\n]+)", text.replace("\\\n", "")):
        arguments = shlex.split(call.replace("$OUT", "results/reference/protocols"))
        out = arguments[arguments.index("-o") + 1]
        arguments[arguments.index("-o") + 1] = Path(out).name
        found.add(tuple(sorted(each for each in arguments if each != "--strict")))
    return found


def test_the_gallerys_commands_are_those_that_made_its_pictures() -> None:
    stored = ROOT / "results" / "reference"
    made = plotted((stored / "camvid360" / "README.md").read_text(encoding="utf-8"))
    made |= plotted((stored / "protocols" / "commands.sh").read_text(encoding="utf-8"))
    assert plotted((ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")) == made


def test_every_method_has_a_page() -> None:
    pages = [path.stem for path in sorted((DOCS / "methods").glob("*.md"))]
    assert pages == names()


@pytest.mark.parametrize("name", names())
def test_a_methods_page_is_what_is_written_now(name: str) -> None:
    text = (DOCS / "methods" / f"{name}.md").read_text(encoding="utf-8")
    assert "```mermaid\n" in text
    assert text[text.index(BEGIN) : text.index(END) + len(END)] == block(name)


def test_the_page_on_commands_names_each_once() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([a-z]+)", page, re.MULTILINE)
    assert sorted(named) == sorted(name for name in bench.commands)


def shims(folder: Path, commands: Warm) -> dict[str, str]:
    """Commands as a reader has them after the installation: ``vssbench``, and a ``pip`` that
    installs a package beside this one, and ``pytest`` where it is told to."""
    site, programs, told = folder / "site", folder / "bin", folder / "pytest-installed"
    programs.mkdir()
    commands.program(programs, "vssbench")
    pip = (
        "import glob, os, subprocess, sys, zipfile\n"
        "assert sys.argv[1:3] == ['install', '-e'], sys.argv\n"
        "assert sys.argv[4:] in ([], ['pytest']), sys.argv\n"
        f"sys.argv[4:] and open({str(told)!r}, 'w').close()\n"
        f"target = {str(folder / 'wheels')!r}\n"
        "subprocess.run([sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps',\n"
        "                '--no-build-isolation', '-w', target, os.path.abspath(sys.argv[3])],\n"
        "               check=True)\n"
        "for wheel in glob.glob(target + '/*.whl'):\n"
        f"    zipfile.ZipFile(wheel).extractall({str(site)!r})\n"
    )
    (folder / "pip.py").write_text(pip)
    pytest_call = "-m pytest -q -p no:cacheprovider --import-mode=importlib"
    for name, first, call in (
        ("pytest", f"test -e {shlex.quote(str(told))} || exit 127\n", pytest_call),
        ("pip", "", str(folder / "pip.py")),
    ):
        (programs / name).write_text(f'#!/bin/sh\n{first}exec {sys.executable} {call} "$@"\n')
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(site), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "PATH": f"{programs}:{os.environ['PATH']}"}


def make_video(path: Path) -> None:
    """A file of 8 frames, which stands for the reader's own."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for image in pan(8, 96, 128, (2.0, 1.0)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize("page", TUTORIALS)
def test_a_tutorial_runs_as_it_stands(page: str, tmp_path: Path, commands: Warm) -> None:
    """Its titled blocks are the files, its ``bash`` blocks the commands."""
    text = (DOCS / page).read_text(encoding="utf-8")
    here = tmp_path / "here"
    here.mkdir()
    make_video(here / "drive.mp4")
    for title, content in re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', text, re.DOTALL):
        (here / title).parent.mkdir(parents=True, exist_ok=True)
        (here / title).write_text(content)
    script = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    assert script.strip()
    done = subprocess.run(
        ["bash", "-euxc", script], cwd=here, env=shims(tmp_path, commands), capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    if page == "first-steps.md":
        assert {"pareto.png", "report.html", "overlay.mp4"} <= {
            path.name for path in here.iterdir()
        }
