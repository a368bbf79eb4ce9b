"""Fixtures of the tests of all compiled kernels."""

import shutil

import pytest

from vssbench import native

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler"
)


@pytest.fixture
def unloaded(monkeypatch):
    """Let the kernels be loaded anew, as in a new process."""
    loaders = (native._networks, native._video)
    for loader in loaders:
        loader.forget()
    yield
    monkeypatch.undo()
    for loader in loaders:
        loader.forget()
