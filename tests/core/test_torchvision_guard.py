"""The guard, mostly in fresh processes: an import is tested once a process."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from vssbench.core.torchvision_guard import install

ROOT = Path(__file__).resolve().parents[2]


def python(code: str, *folders: Path) -> str:
    """Return the output of a fresh interpreter.

    ``folders`` come first on its path. Fails the test where it fails.
    """
    path = "".join(f"sys.path.insert(0, {str(folder)!r})\n" for folder in (ROOT, *folders))
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{path}{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def fake_torchvision(folder: Path, init: str) -> Path:
    """A package of that name: its ``late`` module must be reachable as an attribute, as
    torchvision's own are."""
    package = folder / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(init)
    (package / "late.py").write_text("import torch\n")
    return folder


DESCRIBES_NMS = """
import torchvision.late
import torch
torch.library.register_fake("torchvision::nms", lambda dets, scores, iou_threshold: scores)
assert torchvision.late.torch is torch
"""
DEFINES_NMS = 'import torch\nlib = torch.library.Library("torchvision", "DEF")\n' + (
    'lib.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")\n'
    'lib.impl("nms", lambda dets, scores, iou_threshold: scores + 1, "CPU")\n'
)
CALL_NMS = (
    "import torch, torchvision\nprint(torch.ops.torchvision.nms(torch.zeros(1, 4), "
    "torch.ones(1), 0.5).item())\n"
)


def test_installed_torchvision_and_ptflops_import_and_compute() -> None:
    printed = python(
        "from vssbench.core.torchvision_guard import install\ninstall(); install()\n"
        "import torchvision.ops, ptflops, torch\n"
        "print(torchvision.transforms.functional.resize(torch.zeros(3, 4, 6), [2, 3]).shape)\n"
    )
    assert printed == "torch.Size([3, 2, 3])"


def test_missing_operators_are_defined_without_a_kernel(tmp_path: Path) -> None:
    printed = python(
        "try:\n    import torchvision\nexcept RuntimeError as error:\n    print(error)\n"
        "from vssbench.core.torchvision_guard import install\ninstall(); install()\n"
        "import torch, torchvision\n"
        "try:\n    torch.ops.torchvision.nms(torch.zeros(1, 4), torch.ones(1), 0.5)\n"
        "except NotImplementedError as error:\n    print('torchvision::nms' in str(error))\n",
        fake_torchvision(tmp_path, DESCRIBES_NMS),
    )
    assert printed.splitlines() == ["operator torchvision::nms does not exist", "True"]


def test_complete_torchvision_keeps_its_own_operators(tmp_path: Path) -> None:
    guarded = (
        "from vssbench.core.torchvision_guard import install\ninstall(); install()\n" + CALL_NMS
    )
    assert python(guarded, fake_torchvision(tmp_path, DEFINES_NMS)) == "2.0"


def test_torchvision_that_was_imported_first_is_left_alone(tmp_path: Path) -> None:
    code = (
        "import torchvision\nfrom vssbench.core.torchvision_guard import install\ninstall()\n"
        + CALL_NMS
    )
    assert python(code, fake_torchvision(tmp_path, DEFINES_NMS)) == "2.0"


def test_other_failures_of_torchvision_are_not_hidden(tmp_path: Path) -> None:
    printed = python(
        "from vssbench.core.torchvision_guard import install\n"
        "try:\n    install()\nexcept RuntimeError as error:\n    print(error)\n",
        fake_torchvision(tmp_path, "raise RuntimeError('no disk')"),
    )
    assert printed == "no disk"


def test_absent_torchvision_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    install()
    assert "torchvision" not in sys.modules
