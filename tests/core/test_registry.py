"""The registry: found without importing, unknown names explained, a broken plug-in breaks only
itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from vssbench.core import registry
from vssbench.core.dataset import Dataset
from vssbench.core.errors import UsageError
from vssbench.core.variant import Variant, parse_variant

ROOT = Path(__file__).resolve().parents[2]

PLUGIN = '''
"""A dataset for this test.

More words.
"""
from vssbench.core.dataset import Dataset


class Toy(Dataset):
    title = "Toy"

    def __init__(
        self,
        *,
        frames: int = 3,
        speed: float = 1.0,
        loop: bool = False,
        name: str = "toy",
        root: str = "",
    ):
        self.given = dict(frames=frames, speed=speed, loop=loop, name=name, root=root)

    def clips(self):
        return []

    training_clips = clips
'''


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    registry.plugins.cache_clear()
    registry.load.cache_clear()
    registry.settled.cache_clear()
    registry.leave_out.cache_clear()
    yield
    registry.plugins.cache_clear()
    registry.load.cache_clear()
    registry.settled.cache_clear()


Add = Callable[..., None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Adds entry points of datasets: ``add(name, source, attribute)`` writes the module
    ``plug_NAME`` too."""
    points: list[EntryPoint] = []
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        registry,
        "entry_points",
        lambda group: [point for point in points if point.group == group],
        raising=True,
    )

    def write(name: str, source: str, attribute: str = "Toy", module: str = "") -> None:
        module = module or f"plug_{name}"
        (tmp_path / f"{module}.py").write_text(source)
        points.append(EntryPoint(name, f"{module}:{attribute}", "vssbench.datasets"))
        registry.plugins.cache_clear()

    yield write
    for name in [name for name in sys.modules if name.startswith("plug_")]:
        del sys.modules[name]


def test_listing_imports_neither_torch_nor_a_plugin() -> None:
    code = (
        "import sys\n"
        "from vssbench.core import registry\n"
        "found = [plugin for kind in registry.KINDS for plugin in "
        "registry.plugins(kind).values()]\n"
        "assert found and all(plugin.summary for plugin in found), found\n"
        "print([name for name in sys.modules if name in ('torch', 'numpy', 'av') or name in "
        "[p.module for p in found]])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"


def test_every_file_of_the_plugin_folders_is_found() -> None:
    for kind in ("methods", "datasets"):
        files = {path.stem for path in (ROOT / kind).glob("*.py") if not path.name.startswith("_")}
        assert files <= set(registry.plugins(kind))
        assert list(registry.plugins(kind)) == sorted(registry.plugins(kind))


@pytest.mark.parametrize(
    ("kind", "wrong", "meant"),
    [
        ("methods", "pspnets", "pspnet"),
        ("methods", "PSPNet", "pspnet"),
        ("datasets", "camvit", "camvid"),
    ],
)
def test_unknown_name_says_what_was_meant_and_what_there_is(
    kind: str, wrong: str, meant: str
) -> None:
    with pytest.raises(UsageError) as caught:
        registry.find(kind, wrong)
    assert str(caught.value).startswith(
        f"unknown {kind[:-1]} {wrong!r}. Did you mean {meant!r}? Available: "
    )
    assert all(name in str(caught.value) for name in registry.plugins(kind))


def test_unknown_name_unlike_any_other_gets_no_hint() -> None:
    with pytest.raises(UsageError, match=r"unknown dataset 'zzzzzz'\. Available: "):
        registry.find("datasets", "zzzzzz")


def test_entry_point_is_a_plugin_like_a_file(add: Add) -> None:
    add("toy", PLUGIN)
    plugin = registry.find("datasets", "toy")
    assert plugin.summary == "A dataset for this test."
    assert "plug_toy" not in sys.modules
    assert issubclass(registry.load("datasets", "toy"), Dataset)
    assert "camvid" in registry.plugins("datasets")


def test_summary_of_a_module_in_a_package_does_not_import_the_package(
    add: Add, tmp_path: Path
) -> None:
    (tmp_path / "plug_package" / "inner").mkdir(parents=True)
    for folder in ("", "inner"):
        (tmp_path / "plug_package" / folder / "__init__.py").write_text(
            "raise RuntimeError('imported')\n"
        )
    (tmp_path / "plug_package" / "inner" / "toy.py").write_text('"""Deep inside."""\n')
    assert registry.Plugin("toy", "datasets", "plug_package.inner.toy").summary == "Deep inside."
    assert registry.Plugin("toy", "datasets", "plug_package.nothing.toy").summary == ""


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import a_module_that_is_not_there", "a_module_that_is_not_there"),
        ("this is no Python", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit(3)"),
        ("class Other: pass", "has no attribute 'Toy'"),
    ],
)
def test_broken_plugin_breaks_only_itself_and_says_why(add: Add, source: str, cause: str) -> None:
    add("broken", source)
    add("whole", PLUGIN)
    assert isinstance(registry.find("datasets", "broken").summary, str)
    with pytest.raises(
        UsageError, match="the dataset 'broken' \\(plug_broken\\) does not import"
    ) as caught:
        registry.load("datasets", "broken")
    assert cause in str(caught.value)
    assert registry.load("datasets", "whole").title == "Toy"


@pytest.mark.parametrize("source", ["class Toy: pass", "Toy = 3"])
def test_plugin_that_is_no_dataset(add: Add, source: str) -> None:
    add("odd", source)
    with pytest.raises(
        UsageError,
        match=r"plug_odd:Toy must define one class derived from vssbench\.core\.dataset\.Dataset",
    ):
        registry.load("datasets", "odd")


def test_name_taken_twice_names_both(add: Add, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours stays what it is, and a line says whose name was taken; the others are untouched."""
    add("camvid", PLUGIN)
    assert registry.load("datasets", "camvid").__module__ == "vssbench.datasets.camvid"
    assert registry.plugins("datasets")["synthetic"].fault == ""
    assert (
        "two datasets are named 'camvid': vssbench.datasets.camvid and plug_camvid:Toy"
        in capsys.readouterr().err
    )


def test_two_classes_of_one_module_under_one_name_are_a_clash(add: Add) -> None:
    add("toy", PLUGIN)
    add("toy", PLUGIN, attribute="Other")
    with pytest.raises(UsageError, match="plug_toy:Toy and plug_toy:Other"):
        registry.load("datasets", "toy")
    assert "toy" not in registry.classes("datasets")
    assert "camvid" in registry.classes("datasets")


def test_broken_plug_ins_are_left_out_with_a_line_each(
    add: Add, capsys: pytest.CaptureFixture[str]
) -> None:
    add("torn", "raise OSError('no such disk')")
    add("wrong", "import sys; sys.exit(3)")
    add("fine", PLUGIN.replace('title = "Toy"', 'title = "Toy"\n    words = ("a",)'))
    for _ in range(2):
        assert {"fine", "camvid"} <= set(registry.classes("datasets"))
        assert not {"torn", "wrong"} & set(registry.classes("datasets"))
    answered = registry.answers("datasets", "words", tuple)
    assert answered == {"fine": ("a",)}
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "torn" in line and "no such disk" in line] == [
        line for line in lines if "torn" in line
    ]
    assert sum("torn" in line for line in lines) == 1
    assert sum("dataset wrong is left out" in line for line in lines) == 1
    assert (
        sum("its words cannot be used" in line for line in lines)
        == len(registry.plugins("datasets")) - 3
    )


def test_the_same_distribution_found_twice_is_no_clash(add: Add) -> None:
    add("toy", PLUGIN)
    add("toy", PLUGIN)
    assert "toy" in registry.plugins("datasets")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("toy", {}),
        ("toy[speed=2]", {"speed": 2.0}),
        ("toy[frames=5,loop=on]", {"frames": 5, "loop": True}),
        ("toy[name=7]", {"name": "7"}),
    ],
)
def test_parameters_are_given_in_their_declared_types(
    add: Add, text: str, expected: dict[str, Any]
) -> None:
    add("toy", PLUGIN)
    defaults = {"frames": 3, "speed": 1.0, "loop": False, "name": "toy", "root": ""}
    given = registry.create("datasets", parse_variant(text)).given
    assert given == {**defaults, **expected} == registry.resolved("datasets", parse_variant(text))
    assert [type(value) for value in given.values()] == [type(value) for value in defaults.values()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "toy[sped=2]",
            "toy has no parameter 'sped'. Did you mean 'speed'? Its parameters: frames=3, speed=1, "
            "loop=false",
        ),
        ("toy[frames=2.5]", "frames of toy is '2.5': expected an integer"),
        ("toy[frames=on]", "frames of toy is 'true': expected an integer"),
        ("toy[speed=fast]", "speed of toy is 'fast': expected a number"),
        ("toy[loop=1]", "loop of toy is '1': expected on or off"),
    ],
)
def test_wrong_parameters(add: Add, text: str, words: str) -> None:
    add("toy", PLUGIN)
    with pytest.raises(UsageError) as caught:
        registry.create("datasets", parse_variant(text))
    assert words in str(caught.value)


LAYERS = '''
"""A dataset whose parameters come from three classes."""
from vssbench.core.dataset import Dataset


class Kept(Dataset):
    def __init__(self, *, deepest: int = 1, frames: int = 3, speed: float = 1.0):
        self.given = dict(deepest=deepest, frames=frames, speed=speed)


class Silent(Kept):
    """Has no constructor."""


class Toy(Silent):
    title = "Toy"

    def __init__(self, root: str = "", *, name: str = "toy", speed: str | float = 2.0, **options):
        super().__init__(speed=float(speed), **options)
        self.given |= dict(name=name, root=root)

    def clips(self):
        return []

    training_clips = clips
'''


def test_parameters_of_the_base_class_come_first_with_the_plugins_own_defaults(add: Add) -> None:
    add("toy", LAYERS)
    cls = registry.load("datasets", "toy")
    assert list(registry.parameters(cls).items()) == [
        ("deepest", 1),
        ("frames", 3),
        ("speed", 2.0),
        ("name", "toy"),
    ]
    created = registry.create(
        "datasets", parse_variant("toy[frames=7,speed=4,name=x]"), root="here"
    )
    assert created.given == {"deepest": 1, "frames": 7, "speed": 4.0, "name": "x", "root": "here"}
    with pytest.raises(
        UsageError,
        match=r"no parameter 'frame'\. Did you mean 'frames'\? Its parameters: deepest=1, frames=3",
    ):
        registry.create("datasets", parse_variant("toy[frame=7]"))
    with pytest.raises(UsageError, match=r"frames of toy is '2\.5': expected an integer"):
        registry.create("datasets", parse_variant("toy[frames=2.5]"))


def test_parameters_of_the_base_class_are_its_own_affair_without_options(add: Add) -> None:
    add("toy", LAYERS.replace(", **options):", "):").replace(", **options)", ")"))
    assert list(registry.parameters(registry.load("datasets", "toy"))) == ["name", "speed"]


def test_what_the_harness_gives_cannot_be_given_again(add: Add) -> None:
    add("toy", PLUGIN)
    assert registry.create("datasets", Variant("toy"), root="here").given["root"] == "here"
    with pytest.raises(UsageError, match="'root' of toy is given twice"):
        registry.create("datasets", Variant("toy", {"root": "there"}), root="here")


@pytest.mark.parametrize("error", ["OSError('no licence')", "SystemExit('bye')", "KeyError(3)"])
def test_a_plugin_that_cannot_be_made_is_said_by_its_name(add: Add, error: str) -> None:
    source = PLUGIN.replace("    def __init__(", "    def __new__(cls, **given):\n"
                            f"        raise {error}\n\n    def __init__(", 1)  # fmt: skip
    add("toy", source)
    with pytest.raises(UsageError, match=r"the dataset 'toy\[speed=2\]' cannot be made: ") as said:
        registry.create("datasets", parse_variant("toy[speed=2.0]"))
    assert error.partition("(")[0] in str(said.value)


def test_a_plugin_takes_the_process_nowhere(
    add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = PLUGIN.replace(
        "    def __init__(", "    def __new__(cls, **given):\n        import os\n"
        "        os.chdir('/')\n        return super().__new__(cls)\n\n    def __init__(", 1
    )  # fmt: skip
    add("toy", source)
    registry.create("datasets", parse_variant("toy"))
    assert Path.cwd() == tmp_path


def test_a_plugin_that_cannot_be_made_breaks_no_other(
    add: Add, capsys: pytest.CaptureFixture[str]
) -> None:
    add("sound", PLUGIN)
    add("broken", PLUGIN.replace("    title", "    __new__ = 3\n    title", 1))
    made = [type(each).__module__ for each in registry.made("datasets", ["broken", "sound"])]
    assert made == ["plug_sound"]
    assert (
        "The dataset broken is left out: the dataset 'broken' cannot be" in capsys.readouterr().err
    )
