"""The marks by which ``make check`` leaves out tests, and the files that it need not read."""

from pathlib import Path

import pytest

from tests.conftest import TESTS, marks_of, unwanted

CHECK = "not slow and not codec and not training"
FILES = sorted(path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))


@pytest.mark.parametrize(
    ("name", "expression", "left_out"),
    [
        ("sweep/test_dask.py", CHECK, True),
        ("sweep/test_dask.py", "not codec", False),
        ("codec/test_motion.py", CHECK, True),
        ("training/test_loop.py", "not training", True),
        ("run/test_store.py", CHECK, False),
        ("sweep/test_dask.py", "", False),
        ("sweep/test_dask.py", "slow", False),
        ("sweep/test_dask.py", "not codec or slow", False),
    ],
)
def test_a_file_is_read_unless_all_its_tests_are_left_out(name, expression, left_out):
    assert unwanted(Path(name), expression) is left_out


def test_no_file_of_which_a_test_is_wanted_is_left_unread():
    unread = [path for path in FILES if unwanted(path, CHECK)]
    assert len(unread) > 20
    for path in unread:
        assert {"slow", "codec", "training"} & set(marks_of(path, "test_of_any_name")), path
