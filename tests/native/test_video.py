"""Loading and refusing the compiled kernels of motion and colour."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.native.conftest import needs_compiler
from vssbench import native
from vssbench.codec import motion, prediction
from vssbench.codec.vectors import exported, reader
from vssbench.data import colour
from vssbench.native.video import VideoKernels


@needs_compiler
def test_are_used_and_agree(unloaded):
    kernels = native.video_kernels()
    assert kernels is not None
    for user in (colour, motion, prediction, exported, reader):
        assert list(user._cases(kernels))
        assert native._video.differing(kernels, user._cases) == []


def test_can_be_turned_off(unloaded, monkeypatch):
    monkeypatch.setenv("VSSBENCH_NATIVE", "0")
    assert native.video_kernels() is None


def test_without_a_compiler_one_line_says_so(unloaded, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert native.video_kernels() is None
    assert native.video_kernels() is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no C compiler" in caplog.text


@needs_compiler
@pytest.mark.parametrize(
    ("name", "found"),
    [("compose", "composed vectors"), ("predict", "predicted pictures"), ("rgb", "RGB pictures")],
)
def test_kernels_that_disagree_are_not_used(unloaded, monkeypatch, caplog, name, found):
    right = getattr(VideoKernels, name)
    monkeypatch.setattr(VideoKernels, name, lambda *arguments: right(*arguments) + np.uint8(1))
    assert native.video_kernels() is None
    assert f"{found}" in caplog.text
    assert "differ from numpy's" in caplog.text


def test_pytorch_is_not_imported():
    code = (
        "import sys; from vssbench import native; native.video_kernels(); sys.exit('torch' in "
        "sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
