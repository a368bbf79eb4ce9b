"""Locks by name in one file: who waits for whom, and what a killed process leaves."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from vssbench.core.locks import lock

HOLDER = """
import sys, time
from pathlib import Path
from vssbench.core.locks import lock
with lock(Path(sys.argv[1]), "name") as held:
    print(held, flush=True)
    time.sleep(60)
"""


def test_a_lock_is_one_holders_and_shared_ones_are_many(tmp_path):
    file = tmp_path / "locks"
    with lock(file, "name") as first:
        assert first
        with lock(file, "name") as second, lock(file, "name", shared=True) as third:
            assert (second, third) == (False, False)
        with lock(file, "another") as other:
            assert other
    with lock(file, "name", shared=True) as first, lock(file, "name", shared=True) as second:
        assert (first, second) == (True, True)
        with lock(file, "name") as alone:
            assert not alone
    assert file.read_bytes() == b""


def test_one_who_waits_is_told_and_may_leave(tmp_path):
    class Unwanted(Exception):
        pass

    def leave():
        raise Unwanted

    file = tmp_path / "locks"
    with lock(file, "name"):
        with pytest.raises(Unwanted), lock(file, "name", waiting=leave):
            raise AssertionError("it is held by another")
        let_go = threading.Event()
        holds = []

        def wait():
            with lock(file, "name", waiting=let_go.set) as held:
                holds.append(held)

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert let_go.wait(30)
        assert holds == []
    waiting.join()
    assert holds == [True]


def test_a_killed_process_holds_nothing(tmp_path):
    file = tmp_path / "locks"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    with lock(file, "name") as held:
        assert not held
    holder.kill()
    holder.communicate()
    with lock(file, "name") as held:
        assert held


def test_where_nothing_can_be_written_everybody_has_the_lock(tmp_path):
    (tmp_path / "file").touch()
    with lock(tmp_path / "file" / "locks", "name") as held:
        assert held
