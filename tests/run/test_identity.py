"""The identity of a run: each thing that changes a number changes it, and nothing else does."""

import ast
import json
import re
import shutil
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path

import pytest

from vssbench import native
from vssbench.codec.vectors import estimated, libde265
from vssbench.core import registry
from vssbench.core.registry import Plugin
from vssbench.core.variant import parse_variant
from vssbench.protocol import Dense
from vssbench.run import identity
from vssbench.run.archive import unpacked
from vssbench.run.experiment import Experiment
from vssbench.run.identity import AFTERWARDS, PACKAGES, origins, requirements, run_id, source_digest
from vssbench.run.measuring import measure
from vssbench.run.store import RunStore
from vssbench.weights.file import open_weights
from vssbench.weights.network import weights_name
from vssbench.weights.writing import save_weights

ROOT = Path(__file__).resolve().parents[2]
SYNTHETIC, ARSEG, COPY = (
    Plugin("synthetic", "datasets", "vssbench.datasets.synthetic"),
    Plugin("arseg", "methods", "vssbench.methods.arseg"),
    Plugin("copy", "methods", "vssbench.methods.copy"),
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the project's source."""
    folder = tmp_path_factory.mktemp("tree")
    for part in ("vssbench", "methods", "datasets"):
        shutil.copytree(
            ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
    return folder


def forget():
    """Let every file be read again."""
    for each in (source_digest, identity._content, identity._plugins_imported, identity._under):
        each.cache_clear()


def digest(tree, *plugins):
    forget()
    return source_digest(plugins or (ARSEG, SYNTHETIC), PACKAGES, (tree / "vssbench", tree))


def changed(tree, file, *plugins):
    """Return whether a line more in a file changes the hash; the file is as before afterwards."""
    path = tree / file
    before, content = digest(tree, *plugins), path.read_bytes()
    path.write_bytes(content + b"\n")
    try:
        return digest(tree, *plugins) != before
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(
    "file",
    [
        "vssbench/cost/gmacs.py",
        "vssbench/cost/operators.py",
        "vssbench/weights/file.py",
        "vssbench/data/pictures.py",
        "vssbench/codec/decode.py",
        "vssbench/codec/formats/hevc.py",
        "vssbench/native/motion.c",
        "vssbench/native/vectors.h",
        "vssbench/nets/resize.py",
        "vssbench/fast/prepare.py",
        "vssbench/metrics/confusion.py",
        "vssbench/protocol.py",
        "vssbench/run/stream.py",
        "vssbench/core/video.py",
        "methods/arseg/creff.py",
        "datasets/synthetic/street.py",
    ],
)
def test_the_source_of_numbers_is_in_it(tree, file):
    assert changed(tree, file)


@pytest.mark.parametrize(
    "file",
    [
        *("vssbench/view/sheet.py", "vssbench/report/table.py", "vssbench/cli/run.py"),
        *("vssbench/sweep/grid.py", "vssbench/segment/job.py", "vssbench/latency/worker.py"),
        *("vssbench/metrics/bootstrap.py", "vssbench/metrics/resampling.py"),
        *("vssbench/metrics/draws.py", "vssbench/metrics/statistic.py"),
        *("methods/arseg/recipe.toml", "methods/dsrl/network.py", "datasets/arsegdata/__init__.py"),
    ],
)
def test_what_changes_no_number_is_not(tree, file):
    assert not changed(tree, file)


def test_a_file_more_a_name_and_an_order_count(tree, tmp_path):
    before = digest(tree)
    (tree / "methods/arseg/more.py").touch()
    more = digest(tree)
    (tree / "methods/arseg/more.py").rename(tree / "methods/arseg/other.py")
    other = digest(tree)
    (tree / "methods/arseg/other.py").unlink()
    (tree / "methods/arseg/README.md").write_text("text")
    assert len({before, more, other}) == 3
    assert digest(tree) == before


def test_where_a_tree_lies_does_not_count(tree, tmp_path):
    other = tmp_path / "elsewhere"
    shutil.copytree(tree, other)
    assert digest(other) == digest(tree)
    # as a wheel installs it: plug-ins inside the package
    for part in ("methods", "datasets"):
        (other / part).rename(other / "vssbench" / part)
    forget()
    assert source_digest((ARSEG, SYNTHETIC), PACKAGES, (other / "vssbench",)) == digest(tree)


@pytest.mark.parametrize(
    "line", ["from vssbench.methods.dsrl import espnetv2", "from vssbench.methods import x, dsrl"]
)
def test_plug_ins_that_a_plug_in_imports_count(tree, line):
    path = tree / "methods/copy.py"
    content = path.read_text()
    assert not changed(tree, "methods/dsrl/espnetv2.py", COPY)
    path.write_text(f"{content}\ndef late():\n    {line}\n")
    try:
        assert changed(tree, "methods/dsrl/espnetv2.py", COPY)
    finally:
        path.write_text(content)


def _imports(path):
    """The dotted names that a file imports, at its top or later."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_all_that_a_run_imports_is_known():
    """Every package that runs and plug-ins reach by imports makes numbers; losses and maps of
    checkpoints, which no run computes, may reach further."""
    package = ROOT / "vssbench"
    waiting = [package / "run/experiment.py", *(package / "codec/formats").glob("*.py")]
    waiting += [*(ROOT / "methods").rglob("*.py"), *(ROOT / "datasets").rglob("*.py")]
    reached = set()
    while waiting:
        path = waiting.pop()
        if path in reached or path == package / "nets/losses.py":
            continue
        reached.add(path)
        for name in _imports(path):
            first, _, rest = name.partition(".")
            for file in (f"{rest.replace('.', '/')}.py", f"{rest.replace('.', '/')}/__init__.py"):
                if first == "vssbench" and rest and (package / file).is_file():
                    waiting.append(package / file)
    names = {path.relative_to(package).as_posix() for path in reached if package in path.parents}
    assert len(names) > 90
    assert {name.split("/")[0] for name in names} <= {*PACKAGES}
    assert not names & {*AFTERWARDS}


@pytest.fixture
def make_experiment(patterns, tmp_path):
    """``make_experiment(method, codec)``: an experiment with random weights."""

    def make(method="bisenet[width=0.125]", codec="raw", **statistics):
        variant, coded = parse_variant(method), parse_variant(codec)
        path = tmp_path / f"{method} {statistics}.safetensors"
        if not path.exists():
            lender = weights_name(variant)
            own = variant if lender == variant.name else parse_variant(f"{lender}[width=0.125]")
            model = registry.create("methods", own, classes=3)
            for name, value in statistics.items():
                getattr(model, name).fill_(value)
            save_weights(path, model, own, patterns.classes, "patterns", {})
        return Experiment(
            variant,
            open_weights(path),
            parse_variant("patterns"),
            patterns,
            coded,
            registry.create("codecs", coded, gop=4),
            Dense(),
        )

    return make


def test_normalisation_classes_and_settings_count(make_experiment, patterns):
    experiment = make_experiment()
    assert make_experiment().run_id == experiment.run_id
    renamed = type(patterns)()
    renamed.classes = ("ground", "blue", "red")
    others = [
        make_experiment(mean=0.4),
        make_experiment(std=0.4),
        make_experiment("bisenet[width=0.125,scale=0.5]"),
        make_experiment(codec="h264"),
        replace(experiment, dataset=renamed),
        replace(experiment, precision="bf16"),
        replace(experiment, seed=1),
    ]
    assert len({experiment.run_id, *(other.run_id for other in others)}) == len(others) + 1
    assert replace(experiment, measures=("boundary",)).run_id == experiment.run_id


def _forget():
    """Let kernels be looked for anew, as a new process does."""
    for each in (native._networks, native._video):
        each.forget()


def test_compiled_kernels_count(make_experiment, monkeypatch):
    experiment = make_experiment()
    usable = {"networks": native.available(), "video": native.video_kernels() is not None}
    if not any(usable.values()):
        pytest.skip("no C compiler here")
    with monkeypatch.context() as patch:
        patch.setenv("VSSBENCH_NATIVE", "0")
        _forget()
        without = make_experiment()
        assert without.identity["kernels"] == {"networks": False, "video": False}
    _forget()
    assert experiment.identity["kernels"] == usable
    assert without.run_id != experiment.run_id


def test_the_library_that_reads_motion_counts_where_motion_is_needed(make_experiment, monkeypatch):
    """The build of libde265 for HEVC's vectors, OpenCV for estimated ones; not for a method that
    reads none."""

    def ids(method):
        return [
            make_experiment(method, codec).run_id for codec in ("hevc", "h264[motion=estimated]")
        ]

    needy, still = "arseg[backbone=bise18,width=0.125]", "bisenet[width=0.125]"
    before = ids(needy), ids(still)
    for module, name in ((libde265.LibDe265Vectors, "HEVC"), (estimated.EstimatedVectors, "any")):
        monkeypatch.setattr(module, "library", classmethod(lambda cls, name=name: f"new {name}"))
    after = ids(needy), ids(still)
    assert not set(before[0]) & set(after[0])
    assert before[1] == after[1]


def test_two_builds_of_a_library_of_one_version_differ(tmp_path):
    class Calls:
        def __init__(self, path):
            self._name = str(path)

        def de265_get_version(self):
            return b"1.0"

    builds = set()
    for number in range(2):
        path = tmp_path / f"libde265-{number}.so"
        path.write_bytes(bytes([number]))
        builds.add(libde265.Library(Calls(path), "pillow-heif 1.0").build)
    assert len(builds) == 2
    assert all(re.fullmatch(r"libde265 1.0 of pillow-heif 1.0, sha256 \w{16}", b) for b in builds)


METHOD = """
from beside_{name} import SCALE
from vssbench.core import registry

class Borrowed(registry.load("methods", "bisenet")):
    pass
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """``installed(name)``: a distribution with a method in a package, which imports a module
    beside it; returns its folder and the plug-in."""

    def make(name):
        folder = tmp_path / name
        package = folder / f"package_{name}" / "inside"
        package.mkdir(parents=True)
        (package.parent / "__init__.py").touch()
        (package / "__init__.py").touch()
        (package / "method.py").write_text(METHOD.format(name=name))
        (package.parent / "network.py").write_text("WIDTH = 1")
        (folder / f"beside_{name}.py").write_text("SCALE = 1")
        (folder / f"unused_{name}.py").write_text("SCALE = 1")
        info = folder / f"{name}-2.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: vss-{name}\nVersion: 2.5\n"
            "Requires-Dist: numpy>=1; python_version > '3'\nRequires-Dist: vssbench\n"
        )
        monkeypatch.syspath_prepend(folder)
        point = EntryPoint(name, f"package_{name}.inside.method:Borrowed", "vssbench.methods")
        vars(point)["dist"] = PathDistribution(info)
        return folder, Plugin(name, "methods", point.value.split(":")[0], point)

    return make


def test_the_source_of_an_installed_plug_in_counts(tree, installed):
    """All of its package, and what of its own distribution that imports."""
    folder, plugin = installed("alpha")
    for file, counts in (
        ("package_alpha/inside/method.py", True),
        ("package_alpha/network.py", True),
        ("beside_alpha.py", True),
        ("unused_alpha.py", False),
    ):
        before, content = digest(tree, plugin), (folder / file).read_text()
        (folder / file).write_text(f"{content}\n")
        assert (digest(tree, plugin) != before) == counts, file
        (folder / file).write_text(content)
        assert digest(tree, plugin) == before
    assert not [name for name in sys.modules if name.startswith("package_alpha")]


def test_a_plug_in_of_one_file(tree, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "single_method.py").write_text("VALUE = 1")
    plugin = Plugin("single", "methods", "single_method", EntryPoint("single", "single_method", ""))
    before = digest(tree, plugin)
    (tmp_path / "single_method.py").write_text("VALUE = 2")
    assert digest(tree, plugin) != before


def test_plug_ins_are_named_with_their_distribution(installed):
    _, plugin = installed("beta")
    assert requirements([plugin, ARSEG]) == {"numpy": __import__("numpy").__version__}
    assert origins([plugin])[0] == {
        "kind": "methods", "name": "beta", "module": "package_beta.inside.method:Borrowed",
        "distribution": "vss-beta", "version": "2.5",
    }  # fmt: skip


def test_the_environment_names_every_plug_in(make_experiment, tmp_path):
    store = RunStore(tmp_path / "runs")
    result = measure(make_experiment("copy[network=bisenet,width=0.125]"), store, "test")
    stored = json.loads((store.root / result.run_id / "environment.json").read_text())
    named = {(each["kind"], each["name"]): each["distribution"] for each in stored["plugins"]}
    assert named[("methods", "copy")] == "vssbench"
    assert {("methods", "bisenet"), ("datasets", "patterns"), ("codecs", "raw")} <= set(named)
    assert result.version.startswith(f"{identity.__version__}+")


def test_results_of_another_identity_stay_readable(make_experiment, tmp_path):
    """An id is a name: nothing is computed anew of what is stored under it."""
    store = RunStore(tmp_path / "runs")
    result = measure(make_experiment(), store, "test")
    run = store.get(result.run_id)
    old = run.measurement.model_copy(update={"run_id": run_id({"before": 1}), "version": "0.0.1"})
    store.write(old, run.confusion, run.latency, {}, "")
    assert {each.measurement.run_id for each in store.runs()} == {old.run_id, result.run_id}
    with unpacked(ROOT / "results/reference/camvid360/runs.tar.xz") as folder:
        stored = list(folder.iterdir())
        assert len(RunStore(folder).runs()) == len(stored) > 200
