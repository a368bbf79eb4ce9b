"""Surroundings in which little is there: no home, no compiler, no name, no UTF-8."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import CLASSES, METHOD
from tests.faults.forks import ROOT, Forks
from tests.faults.test_disk import runs
from tests.hostile.test_stores import write
from vssbench.core.errors import UsageError
from vssbench.core.home import expanded, home
from vssbench.run.store import RunStore

#: a number that no user has, and nobody's
NAMELESS, NOBODY = 54321, 65534
#: a folder that not even root can make
NOWHERE = "/proc/nowhere"
#: commands that print and draw the names of classes, one after the other in one process
COMMANDS = """
import sys
from vssbench.cli import main
root, out = sys.argv[1:3]
for words in (
    "table", "table --per-class --format md", "table --per-class --format csv",
    "table --per-class --format json", "table --per-class --format latex", "scores",
    "scores --format csv", f"plot classes -o {out}/c.png", f"report -o {out}/r.html",
):
    sys.argv = ["bench.py", *words.split(), "--runs", root]
    print(f"<<{words}>>", flush=True)
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


def as_user(number: int) -> int | None:
    """Return the number of the user to become, None where this one stays who it is: where it is no
    root, or the interpreter lies in a folder that is closed to others, as root's home is."""
    interpreter = Path(sys.executable).resolve()
    is_open = all(folder.stat().st_mode & 0o001 for folder in interpreter.parents)
    return number if os.geteuid() == 0 and is_open else None


@pytest.mark.parametrize(
    ("number", "surroundings"),
    [
        (NOBODY, {"HOME": NOWHERE, "XDG_CACHE_HOME": NOWHERE}),
        (NAMELESS, {"HOME": None, "XDG_CACHE_HOME": None}),
    ],
)
def test_a_user_without_a_home_and_a_compiler_measures_all_the_same(
    forks: Forks, drive: Path, weights: Path, number: int, surroundings: dict[str, str | None]
) -> None:
    """One line for each kind of kernel says that its slower form is used."""
    shutil.copytree(drive, forks.folder / f"drive{number}")
    shutil.copy(weights, forks.folder / "w.safetensors")
    root = forks.folder / f"runs{number}"
    ended = forks.run(
        *runs(forks.folder / f"drive{number}", forks.folder / "w.safetensors", root, "h264[gop=4]"),
        variables={**surroundings, "PATH": NOWHERE, "CC": None}, user=as_user(number),
    )  # fmt: skip
    assert ended.status == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("slower forms are: no C compiler was found") == 2
    (run,) = RunStore(root).runs()
    assert run.measurement.status == "done"
    assert list(run.measurement.classes) == list(CLASSES)
    drawn = forks.run(
        "plot", "classes", "--runs", str(root), "-o", str(root / "c.png"),
        variables=surroundings, user=as_user(number),
    )  # fmt: skip
    assert drawn.status == 0, drawn.stderr
    assert (root / "c.png").stat().st_size > 1000


def test_kernels_are_kept_nowhere_but_at_home(
    forks: Forks, drive: Path, weights: Path, tmp_path: Path
) -> None:
    """No other folder will do, where others could have put what is loaded."""
    ended = forks.run(
        *runs(drive, weights, tmp_path / "runs"),
        variables={"HOME": None, "XDG_CACHE_HOME": None},
        code="import os, pwd\ndef none(number):\n    raise KeyError\npwd.getpwuid = none",
    )
    assert ended.status == 0, ended.stderr
    assert ended.stderr.count("this user has no home folder to keep them in; set XDG_CACHE") == 2


def test_another_users_store_is_refused_in_words(forks: Forks, drive: Path, weights: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, who can become another user")
    user = NOBODY  # starts no process, so that the interpreter may lie in a closed folder
    place = forks.folder / "closed"
    place.mkdir(mode=0o755)
    shutil.copytree(drive, forks.folder / "open")
    shutil.copy(weights, forks.folder / "w.safetensors")
    ended = forks.run(
        *runs(forks.folder / "open", forks.folder / "w.safetensors", place / "runs"), user=user
    )
    assert ended.status == 2
    assert ended.said == (
        f"cannot write {place}/runs: Permission denied; check the folder, or write elsewhere"
    )


def test_no_connection_is_opened(forks: Forks, drive: Path, weights: Path, tmp_path: Path) -> None:
    """Neither by this code nor by the libraries that it calls."""
    watch = """
import sys
def look(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request"):
        print("Traceback: a connection,", event, arguments, file=sys.stderr)
sys.addaudithook(look)
"""
    root = tmp_path / "runs"
    for command in (
        runs(drive, weights, root, "h264[gop=4]"), ["report", "--runs", str(root), "-o",
        str(tmp_path / "r.html")],
    ):  # fmt: skip
        ended = forks.run(*command, code=watch)
        assert ended.status == 0
        assert "Traceback" not in ended.stderr


def test_a_home_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"~nosuchuser-/a\.mp4: the system knows no home folder"):
        expanded("~nosuchuser-/a.mp4")
    assert home() is not None

    def lost(self: object = None) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", lost)
    assert home() is None


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose classes and method have names in no Latin script."""
    root = tmp_path_factory.mktemp("foreign")
    result = write(root, "sound") / "result.json"
    row = json.loads(result.read_text(encoding="utf-8"))
    row |= {"classes": ["街道", "天空🌤"], "display": "网络é"}
    result.write_text(json.dumps(row), encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("name", "locale", "written"),
    [
        ("C", {"LC_ALL": "C", "PYTHONUTF8": "0"}, "utf-8"),
        ("POSIX", {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}, "utf-8"),
        ("latin-1", {"PYTHONIOENCODING": "latin-1"}, "latin-1"),
    ],
)
def test_names_in_any_script_in_any_locale(
    foreign: Path, tmp_path: Path, name: str, locale: dict[str, str], written: str
) -> None:
    """Where nothing is said of letters, they are UTF-8; what an encoding lacks is escaped."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("LC_")}
    ended = subprocess.run(
        [sys.executable, "-c", COMMANDS, str(foreign), str(tmp_path)],
        cwd=ROOT, env=plain | locale, capture_output=True, check=False,
    )  # fmt: skip
    said = ended.stderr.decode(written, "replace")
    assert ended.returncode == 0, said
    assert "Warning" not in said  # of letters that a font lacks
    parts = ended.stdout.decode(written).split("<<")[1:]
    shown = {command: text for command, _, text in (part.partition(">>\n") for part in parts)}
    assert len(shown) == 9
    street = "街道" if written == "utf-8" else r"\u8857\u9053"
    for command in ("table --per-class --format md", "table --per-class --format csv"):
        assert street in shown[command]
    assert "é" in shown["scores --format csv"]
    (row,) = json.loads(shown["table --per-class --format json"])
    assert "天空🌤" in row["per_class"]
    assert "街道" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_file_names_that_are_no_text_are_printed_as_they_are(
    forks: Forks, drive: Path, weights: Path, tmp_path: Path
) -> None:
    """And what is measured under such a name is stored, and shown."""
    odd = os.fsdecode(b"d\xe9")
    try:
        shutil.copytree(drive, forks.folder / odd)
    except OSError as error:
        pytest.skip(f"no such file name here: {error}")
    root = forks.folder / f"runs-{odd}"
    ended = forks.run(*runs(forks.folder / odd, weights, root))
    assert ended.status == 0, ended.stderr
    (run,) = RunStore(root).runs()
    assert run.measurement.status == "done"
    drawn = forks.run("plot", "pareto", "--runs", str(root), "-o", str(root / "p.png"))
    assert drawn.status == 0, drawn.stderr
    page = forks.run("report", "--runs", str(root), "-o", str(root / "r.html"))
    assert page.status == 0, page.stderr
    assert b"runs-d\\xe9" in (root / "r.html").read_bytes()
    assert "runs-d\\xe9/r.html" in page.stderr
    assert METHOD.split("[")[0] in run.measurement.method
