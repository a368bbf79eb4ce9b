"""Standard streams that are closed, full or unread, and other surroundings that a program finds."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vssbench import cli
from vssbench.core import bounds
from vssbench.core.errors import UsageError
from vssbench.core.standard import unfailing

ROOT = Path(__file__).parents[2]
CLOSED = "Error: the output cannot be written: Bad file descriptor; it is closed\n"


def shell(line: str, folder: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line in which BENCH stands for the program."""
    called = line.replace("BENCH", f"{sys.executable} {ROOT / 'bench.py'}")
    return subprocess.run(
        ["sh", "-c", called], cwd=folder, env=os.environ | variables, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("BENCH list >&-", 2, CLOSED),
        ("BENCH list <&- >&- 2>&-", 2, ""),
        ("BENCH list <&- 2>&-", 0, ""),
        ("BENCH info nosuch 2>&-", 2, ""),
        ("BENCH info nosuch 2>/dev/full", 2, ""),
    ],
)
def test_a_result_that_is_lost_is_an_error_and_a_message_is_none(
    line: str, status: int, said: str, full_device: Path
) -> None:
    ended = shell(line.replace("/dev/full", str(full_device)))
    assert ended.returncode == status
    assert ended.stderr == said
    assert bool(ended.stdout) == (status == 0)


def test_files_do_not_take_the_numbers_of_closed_streams(tmp_path: Path) -> None:
    """A library's output would otherwise go into them."""
    code = (
        "import os; from vssbench.core import standard; standard.mend(); "
        f"file = open({str(tmp_path / 'f')!r}, 'w'); os.write(2, b'lost'); "
        "file.write(str(file.fileno())); print('lost')"
    )
    shell(f'{sys.executable} -c "{code}" <&- >&- 2>&-')
    assert int((tmp_path / "f").read_text()) > 2


def test_messages_may_be_lost(full_device: Path) -> None:
    with full_device.open("w", buffering=1) as full:
        stream = unfailing(full)
        assert stream.write("a message\n") == 10
        stream.writelines(["more\n"])
        stream.flush()
        assert stream.fileno() == full.fileno()
        with pytest.raises(OSError, match="No space"):
            full.write("a result\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_a_current_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    ended = shell("rmdir ../gone && BENCH list", tmp_path / "gone")
    assert ended.returncode == 2
    assert ended.stderr.startswith("Error: the current folder is not there any more")


def test_a_bound_that_is_no_number_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound runs would be called damaged because of it."""
    ended = shell("BENCH list", VSSBENCH_MAX_ARRAYS_MIB="0")
    assert ended.returncode == 2
    assert ended.stderr.startswith("Error: VSSBENCH_MAX_ARRAYS_MIB='0': expected a whole number")
    stated = [each for each in vars(bounds).values() if isinstance(each, bounds.Bound)]
    for bound in stated:
        with monkeypatch.context() as patch:
            patch.setenv(bound.variable, "many")
            with pytest.raises(UsageError, match=bound.variable):
                bounds.check_all()
    bounds.check_all()


def test_a_disk_that_fails_is_not_called_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_drop_output", lambda: None)
    failed = OSError(errno.EIO, os.strerror(errno.EIO))
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert cli._of_system(failed).startswith("a file cannot be read or written: Input/output")
    assert cli._of_system(full).startswith("the output cannot be written: No space left")
