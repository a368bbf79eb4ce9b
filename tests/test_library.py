"""The library: its documented snippets run as written, and its names mean the same in any order of
imports."""

from __future__ import annotations

import inspect
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import vssbench
from vssbench import library
from vssbench.codec.vectors.proof import pan
from vssbench.core.errors import DataError, MotionUnavailable, UsageError

ROOT = Path(__file__).resolve().parent.parent
SNIPPETS = re.findall(
    r"## (\w+)\n.*?```python\n(.*?)```",
    (ROOT / "docs" / "library.md").read_text(encoding="utf-8"),
    re.DOTALL,
)
#: pixels a frame of the pan that the videos of these tests show
PAN = (2.0, 1.0)
PLAIN = "ref=1:b-pyramid=none:weightp=0:keyint=6:min-keyint=6:scenecut=0:bframes="

#: a light module of each package
MODULES = {"run": "store", "cost": "agreement", "segment": "output"}


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """A file of 8 frames whose motion is known; ``x264`` are its encoder's parameters."""

    def made(name: str = "drive.mp4", x264: str = PLAIN + "0") -> Path:
        with av.open(str(tmp_path / name), "w") as container:
            options = {"x264-params": x264} if x264 else {}
            stream = container.add_stream("libx264", rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
            for image in pan(8, 96, 128, PAN):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            container.mux(stream.encode())
        return tmp_path / name

    return made


def python(code: str) -> str:
    """The output of a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def readers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of who tries the page's snippets one after another."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "results").symlink_to(ROOT / "results")
    return folder


@pytest.mark.parametrize(("title", "code"), SNIPPETS, ids=[title for title, _ in SNIPPETS])
def test_documented_snippets_run_as_written(
    title: str,
    code: str,
    make_video: Callable[..., Path],
    readers_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not (readers_folder / "drive.mp4").exists():
        make_video().rename(readers_folder / "drive.mp4")
    monkeypatch.chdir(readers_folder)
    exec(compile(code, f"docs/library.md, {title}", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_every_function_has_a_snippet_a_signature_and_a_docstring() -> None:
    assert sorted(title.lower() for title, _ in SNIPPETS) == sorted(library.__all__)
    assert sorted(library.__all__) == sorted({*vssbench.__all__} - {"__version__"})
    for name in library.__all__:
        function = getattr(library, name)
        assert inspect.signature(getattr(vssbench, name)) == inspect.signature(function)
        assert set(inspect.get_annotations(function)) == {
            *inspect.signature(function).parameters,
            "return",
        }
        assert function.__doc__


def test_importing_loads_neither_torch_nor_pandas() -> None:
    code = """
import json, sys
import vssbench
heavy = ("torch", "pandas", "numpy", "av", "click")
before = [name for name in heavy if name in sys.modules]
vssbench.run, vssbench.cost, vssbench.segment
after = [name for name in heavy if name in sys.modules]
vssbench.results
print(json.dumps([before, after, [name for name in heavy if name in sys.modules]]))
"""
    assert json.loads(python(code)) == [[], [], []]


@pytest.mark.parametrize("package", ["run", "cost", "segment"])
def test_a_package_is_the_function_in_any_order_of_imports(package: str) -> None:
    ways = {
        "attribute": f"import vssbench; found.append(vssbench.{package})",
        "name": f"from vssbench import {package}; found.append({package})",
        "package": f"import vssbench.{package} as it; found.append(it)",
        "module": f"import vssbench.{package}.{MODULES[package]}; found.append(vssbench.{package})",
        "inner": f"from vssbench.{package} import {MODULES[package]}; found.append("
        f"sys.modules['vssbench.{package}'])",
    }
    orders = [[ways[name] for name in order] for order in itertools.permutations(ways, 3)]
    code = f"""
import sys
for order in {orders!r}:
    for name in [name for name in sys.modules if name.split('.')[0] == 'vssbench']:
        del sys.modules[name]
    found = []
    for line in order:
        exec(line)
    assert all(callable(each) and each is found[0] for each in found), order
    import vssbench.{package}.{MODULES[package]}
    assert found[0].{MODULES[package]}.__name__ == 'vssbench.{package}.{MODULES[package]}'
print(len({orders!r}))
"""
    assert python(code).strip() == "60"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'vssbench' has no attribute 'runs'"):
        vssbench.runs  # type: ignore[attr-defined]  # noqa: B018
    assert set(library.__all__) <= set(dir(vssbench))


def test_run_returns_the_rows_that_it_stored(tmp_path: Path) -> None:
    given = {
        "datasets": "synthetic[clips=1,frames=4,height=96,width=128]",
        "codecs": "raw[gop=2]",
        "runs": tmp_path / "runs",
    }
    runs = vssbench.run(["copy", "warp"], **given)  # type: ignore[arg-type]
    assert runs["method"].str.partition("[")[0].tolist() == ["copy", "warp"]
    # uncompressed video carries no vectors to warp by
    assert runs["status"].tolist() == ["done", "refused"]
    stored = vssbench.results(tmp_path / "runs")
    assert stored["run_id"].tolist() == runs["run_id"].tolist()
    again = vssbench.run("copy", **given)  # type: ignore[arg-type]
    assert again["created"].tolist() == runs["created"].tolist()[:1]


def test_costs_are_those_of_the_command() -> None:
    costs = vssbench.cost("arseg[scale=0.5]", (96, 128), gop=4)
    (row,) = costs.to_dict("records")
    assert row["gmacs_gop"] == pytest.approx((row["gmacs_key"] + 3 * row["gmacs_nonkey"]) / 4)
    assert 0 < row["gmacs_nonkey"] < row["gmacs_key"]
    with pytest.raises(UsageError, match="unknown convention 'flops': expected macs"):
        vssbench.cost("pspnet", (96, 128), convention="flops")


@pytest.mark.parametrize("bframes", [0, 2])
def test_motion_is_that_of_the_pan(make_video: Callable[..., Path], bframes: int) -> None:
    frames = list(vssbench.motion(make_video(x264=f"{PLAIN}{bframes}"), cell=4))
    assert [frame.index for frame in frames] == list(range(8))
    assert [frame.distance for frame in frames] == [0, 1, 2, 3, 4, 5, 0, 1]
    assert [frame.seconds for frame in frames] == pytest.approx([n / 25 for n in range(8)])
    assert ("B" in {frame.picture_type for frame in frames}) is (bframes > 0)
    for frame in frames:
        assert frame.bits > 0
        assert (frame.grid.shape, frame.field.shape) == ((24, 32, 2), (96, 128, 2))
        assert frame.vectors.shape[1:] == (24, 32, 2)
        assert frame.references.shape == frame.vectors.shape[:-1]
        if frame.keyframe:
            assert not frame.field.any()
            assert (frame.references == -1).all()
            continue
        inner = frame.field[24:-24, 24:-24].reshape(-1, 2)
        expected = np.array(PAN) * frame.distance
        assert np.abs(np.abs(np.median(inner, axis=0)) - expected).max() < 0.5
        # a block vector spans the frames to the one that it refers to
        for layer, its in zip(frame.vectors, frame.references, strict=True):
            for other in set(its[its >= 0].tolist()):
                hop = np.abs(np.median(layer[its == other], axis=0))
                assert np.abs(hop - np.array(PAN) * abs(frame.index - other)).max() < 0.5


def test_motion_reads_a_frame_when_it_is_asked_for(make_video: Callable[..., Path]) -> None:
    path = make_video()
    content = path.read_bytes()
    frames = vssbench.motion(path)
    assert next(frames).index == 0
    frames.close()  # type: ignore[attr-defined]
    assert path.read_bytes() == content


def test_motion_that_cannot_be_had_is_refused_before_the_first_frame(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(MotionUnavailable, match=r"H\.264 stream.*\. Take source='es") as refused:
        vssbench.motion(make_video("default.mp4", x264=""))
    assert "--" not in str(refused.value)  # a library has no options
    with pytest.raises(DataError, match="no file"):
        vssbench.motion(tmp_path / "absent.mp4")
    path = make_video()
    for given, words in (
        ({"source": "guess"}, "source='guess' is unknown: expected codec or estimated"),
        ({"cell": 16}, "unknown cell 16: expected 4 or 8"),
        ({"max_gop": 0}, "max_gop=0 cannot be used"),
    ):
        with pytest.raises(UsageError, match=words):
            vssbench.motion(path, **given)  # type: ignore[arg-type]


def test_predictions_are_scored_once_and_listed_frames_are_typed(tmp_path: Path) -> None:
    street = "synthetic[clips=1,frames=4,height=64,width=96]"
    given: dict[str, Any] = {"gop": 2, "runs": tmp_path / "runs"}
    frames = vssbench.export(street, tmp_path / "frames", **given)
    assert frames["distance"].tolist() == [0, 1, 0, 1]
    assert frames["scored"].all()
    assert str(frames["bits"].dtype) == "Int64"
    for name, label in zip(frames["prediction"], frames["label"], strict=True):
        path = tmp_path / "labels" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((tmp_path / "frames" / label).read_bytes())
    with pytest.raises(UsageError, match="holds an export"):
        vssbench.export(street, tmp_path / "frames", **given)
    rows = [vssbench.score(tmp_path / "labels", street, params=7, **given) for _ in range(2)]
    assert rows[0]["created"].tolist() == rows[1]["created"].tolist()
    assert rows[0][["method", "miou", "params", "typed"]].values.tolist() == [
        ["labels", 1.0, 7, "params"]
    ]
    assert len(vssbench.results(tmp_path / "runs")) == 1


def test_settings_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="run has no setting 'codec': there are protocol"):
        vssbench.run("copy", codec="raw")  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="export has no setting 'name': there are data_root, gop"):
        vssbench.export("synthetic", tmp_path, name="x")  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="score has no setting 'gmacs': there are data_root, gop"):
        vssbench.score(tmp_path, "synthetic", gmacs=1)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="segment has no setting 'sizes': there are dataset"):
        vssbench.segment("a", "b", "copy", sizes=1)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="unknown output 'film': expected overlay"):
        vssbench.segment("a", "b", "copy", output="film")  # type: ignore[arg-type]


def test_settings_of_no_such_value_are_refused(tmp_path: Path) -> None:
    """A precision that nobody knows was float32, stored under its name."""
    street = "synthetic[clips=1,frames=2,height=64,width=96]"
    with pytest.raises(UsageError, match="unknown precision 'fp64': expected fp32 or bf16"):
        vssbench.run("copy", street, "raw", runs=tmp_path, precision="fp64")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unknown void 'left': expected error or masked"):
        vssbench.run("copy", street, "raw", runs=tmp_path, void="left")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unknown precision 'fp16': expected fp32 or bf16"):
        vssbench.segment("a", "b", "copy", precision="fp16")  # type: ignore[arg-type]
    for size in (96, (0, 96), (64, 96, 3), "64x96", (64.5, 96)):
        with pytest.raises(UsageError, match=r"is no size: expected \(height, width\) in pixels"):
            vssbench.segment("a", "b", "copy", size=size)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=r"is no size: expected \(height, width\) in pixels"):
            vssbench.cost("copy", size=size)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
