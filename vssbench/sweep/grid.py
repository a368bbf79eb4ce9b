"""Many experiments: the grid of methods, datasets and codecs; what is already done; what
became of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vssbench.core import registry
from vssbench.core.classes import beyond, numbers_of, other_names
from vssbench.core.dataset import Dataset
from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.progress import messages, track
from vssbench.core.variant import Variant, parse_variant
from vssbench.cost.gmacs import traits
from vssbench.data.presence import absent_classes
from vssbench.metrics.meters import METERS, named
from vssbench.protocol import protocol as find_protocol
from vssbench.run.experiment import Experiment
from vssbench.run.measurement import Measurement
from vssbench.run.measuring import Way, measure
from vssbench.run.outputs import VOID, Void
from vssbench.run.store import RunStore
from vssbench.sweep.defaults import DEFAULT_METHODS
from vssbench.weights.file import WeightFile, open_weights
from vssbench.weights.network import check_fit, weights_name
from vssbench.weights.shipped import choose_shipped, closest


@dataclass(frozen=True)
class Grid:
    """The variants and settings to run, as typed."""

    methods: Sequence[str]
    codecs: Sequence[str]
    protocol: str = "dense"
    weights: Sequence[Path] = ()
    gop: int | None = None
    precision: str = "fp32"
    device: str = "cpu"
    seed: int = 0
    measures: Sequence[str] = ()
    #: classes that are not scored
    without: Sequence[str] = ()
    #: what becomes of an output that stands for no scored class: ``error`` or ``masked``
    void: Void = VOID


def plan(grid: Grid, datasets: Sequence[tuple[Variant, Dataset]], cache: Path) -> list[Experiment]:
    """Return every experiment of the grid, checked before anything is measured: names, parameters,
    data, weights.

    Experiments are grouped by dataset and codec, so that a bitstream is in the cache when the
    next method reads it.
    """
    protocol, measures = find_protocol(grid.protocol), named(grid.measures)
    files = [open_weights(path) for path in grid.weights]
    methods = [parse_variant(text) for text in grid.methods] or _default_methods(files)
    check_used(files, methods)
    codecs = [with_gop(parse_variant(text), grid.gop) for text in grid.codecs]
    coders = [registry.create("codecs", codec) for codec in codecs]
    experiments, say = [], telling()
    for dataset_variant, dataset in datasets:
        chosen = [
            weights_of(method, files, dataset_variant.name, dataset.classes, grid.without, say)
            for method in methods
        ]
        for codec_variant, codec in zip(codecs, coders, strict=True):
            for method, file in chosen:
                experiments.append(
                    Experiment(
                        method, file, dataset_variant, dataset, codec_variant, codec, protocol,
                        grid.precision, grid.device, grid.seed, cache, measures,
                        tuple(grid.without), grid.void,
                    )
                )  # fmt: skip
    check_without(grid.without, experiments)
    return experiments


def check_without(names: Sequence[str], experiments: Sequence[Experiment]) -> None:
    """Raise UsageError for a class to leave out that neither a dataset nor weights have, and where
    no class of a dataset would be left to score."""
    for each in experiments:
        if len(each.left_out) == len(each.dataset.classes):
            raise UsageError(
                f"--without {', '.join(names)} leaves no class of {each.dataset_variant} to score: "
                "leave out fewer"
            )
    known = dict.fromkeys(
        name for each in experiments for name in (*each.dataset.classes, *each.weights.classes)
    )
    for name in names:
        if not numbers_of([name], tuple(known)):
            raise UsageError(
                f"--without {name!r} is no class of the datasets and weights: {', '.join(known)}"
            )


def _default_methods(files: list[WeightFile]) -> list[Variant]:
    return [file.variant for file in files] or [parse_variant(text) for text in DEFAULT_METHODS]


def say_absent(experiments: Iterable[Experiment]) -> None:
    """Say of each dataset which classes no mask of it holds, before anything is measured.

    Not of one whose masks are drawn: nobody can have written them wrongly, and to draw them takes
    longer than many an experiment.
    """
    datasets = {id(each.dataset): each for each in experiments if not each.dataset.drawn}
    for each in datasets.values():
        for line in absent_classes(each.dataset.scored_clips, each.dataset.classes):
            text = f"{each.dataset_variant}: {line}"
            messages().print(text, markup=False, highlight=False, soft_wrap=True)


def check_used(files: list[WeightFile], methods: list[Variant]) -> None:
    """Raise WeightsError for a weight file that none of the methods can use."""
    names = {name for method in methods for name in (method.name, weights_name(method))}
    for file in files:
        if file.variant.name not in names:
            raise WeightsError(
                f"--weights {file.path} holds {file.variant}, and the methods asked for are "
                f"{', '.join(map(str, methods))}: add -m '{file.variant}' or leave the file out"
            )


def with_gop(codec: Variant, gop: int | None) -> Variant:
    """Return a codec with that GOP, unless its brackets say another."""
    if gop is None or "gop" in codec.params:
        return codec
    return Variant(codec.name, {**codec.params, "gop": gop})


def weights_of(
    method: Variant,
    files: list[WeightFile],
    dataset: str,
    classes: tuple[str, ...],
    without: Sequence[str],
    say: Callable[[str], None],
) -> tuple[Variant, WeightFile]:
    """Return the weights of a method for a dataset's name and classes, and say what of it is not as
    typed.

    A given file must fit it as typed, whose classes may be more than the dataset's by such that
    stand for none. Else the shipped weights settle what was left open.
    """
    # refuses parameters that the method does not have or allow
    declared = traits(method, len(classes)).void
    best = closest(method, files, len(classes))
    if best is not None:
        extra = [] if declared else beyond(best.classes, classes, without)
        kept = [name for number, name in enumerate(best.classes) if number not in extra]
        check_fit(method, classes, best, kept)
        for line in other_names(kept, classes):
            say(f"{best.path}: {line}")
        return method, best
    settled, file = choose_shipped(method, dataset, classes)
    if settled != method:
        say(f"{method}: taken as {settled}, for which {file.path.name} is shipped")
    return settled, file


def telling() -> Callable[[str], None]:
    """Return what tells the user a text, but none twice: of many datasets much is the same."""
    told: set[str] = set()

    def say(text: str) -> None:
        if text not in told:
            told.add(text)
            messages().print(text)

    return say


def sweep(
    experiments: Sequence[Experiment], store: RunStore, command: str, force: bool = False
) -> list[Measurement]:
    """Measure every experiment that is not done yet; returns one Measurement each, in order, but
    one for all that are the same. Failures do not stop it."""
    if not experiments:
        raise UsageError("nothing to run: give at least one method, dataset and codec")
    console = messages()
    asked, experiments = len(experiments), distinct(experiments)
    if len(experiments) < asked:
        console.print(
            f"{asked - len(experiments)} of {asked} experiments are the same as others: "
            "each is measured once"
        )
    todo = [
        keeping(experiment, store)
        for experiment in experiments
        if force or not store.has(experiment.run_id, experiment.measures)
    ]
    if len(todo) < len(experiments):
        console.print(
            f"{len(experiments) - len(todo)} of {len(experiments)} experiments are done already "
            "(--force measures them again)"
        )
    if todo:
        # before anything is measured
        store.check_writable()
        store.check_older(experiment.run_id for experiment in todo)
        say_absent(todo)
    results: dict[str, Measurement] = {}
    with track("measuring", sum(experiment.frames() for experiment in todo)) as tracker:
        for number, experiment in enumerate(todo, 1):
            console.print(f"[{number}/{len(todo)}] {experiment.title}")
            way = Way(partial(tracker.advance, 1, f"[{number}/{len(todo)}]"))
            with _kept_of(number - 1, len(todo), store):
                result = measure(experiment, store, command, way)
            if result.status != "done":
                console.print(f"  {result.status}: {result.reason}")
            results[experiment.run_id] = result
    return [
        results.get(experiment.run_id) or store.get(experiment.run_id).measurement
        for experiment in experiments
    ]


@contextmanager
def _kept_of(done: int, count: int, store: RunStore) -> Iterator[None]:
    """Let Ctrl-C say what is kept, and how to go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note(
            f"{done} of {count} experiments are kept in {store.root}, the one under way is not; "
            "the same command goes on with the others"
        )
        raise


def distinct(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Return the first of those that are the same, with the meters of all of them."""
    firsts: dict[str, Experiment] = {}
    for experiment in experiments:
        first = firsts.setdefault(experiment.run_id, experiment)
        if not set(experiment.measures) <= set(first.measures):
            firsts[experiment.run_id] = _with_meters(first, experiment.measures)
    return list(firsts.values())


def _with_meters(experiment: Experiment, names: Sequence[str]) -> Experiment:
    both = {*experiment.measures, *names}
    return replace(experiment, measures=tuple(name for name in METERS if name in both))


def keeping(experiment: Experiment, store: RunStore) -> Experiment:
    """Return the experiment with the meters that the stored run has, too.

    Measuring it again loses none.
    """
    earlier = store.result(experiment.run_id)
    return experiment if earlier is None else _with_meters(experiment, earlier.measures)
