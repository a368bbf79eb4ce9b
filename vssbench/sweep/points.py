"""A grid of experiments as it is written: a TOML file and the options of ``bench.py sweep``.

A file's keys are the names of the command's options. A key with several values is an axis of the
grid. Each ``[[include]]`` is a further grid, which takes from the file what it does not say itself;
each ``[[exclude]]`` leaves out what matches all of its keys. An option that is given replaces the
file's key everywhere.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, ValidationError

from vssbench.core import reading
from vssbench.core.bounds import EXPERIMENTS, MOST_THREADS
from vssbench.core.errors import UsageError
from vssbench.core.progress import messages
from vssbench.core.variant import Variant, parse_variant
from vssbench.run.outputs import VOID, Void
from vssbench.sweep import quantities
from vssbench.sweep.defaults import DEFAULT_CODECS, DEFAULT_DATASET, DEFAULT_METHODS

Precision = Literal["fp32", "bf16"]
M = TypeVar("M", bound=BaseModel)


#: words for what pydantic says of types that TOML has not
_EXPECTED = {
    "tuple_type": "expected a list", "dict_type": "expected a table",
    "model_type": "expected a table",
}  # fmt: skip


def _several(value: Any) -> Any:
    """Return a value that stands alone as a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


_Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]
#: TOML tells numbers, texts and booleans apart: none is taken for another
_Count = Annotated[int, Field(strict=True, ge=1, lt=1 << 31)]
_Seed = Annotated[int, Field(strict=True, ge=0, lt=1 << 31)]
_Counts = Annotated[tuple[_Count, ...], BeforeValidator(_several)]
_Seeds = Annotated[tuple[_Seed, ...], BeforeValidator(_several)]
_Precisions = Annotated[tuple[Precision, ...], BeforeValidator(_several)]
_Seconds = Annotated[float, BeforeValidator(quantities.seconds)]
_Memory = Annotated[int, BeforeValidator(quantities.memory)]
_Threads = Annotated[int, Field(strict=True, ge=1, le=MOST_THREADS)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Block(_Strict):
    """A grid: the experiments are the product of the axes, and ``weights``, ``measure``,
    ``without``, ``void``, ``data-root`` and ``device`` are the same for all of them."""

    method: _Texts = ()
    dataset: _Texts = ()
    codec: _Texts = ()
    protocol: _Texts = ("dense",)
    gop: _Counts = ()
    seed: _Seeds = (0,)
    precision: _Precisions = ("fp32",)
    weights: _Texts = ()
    measure: _Texts = ()
    without: _Texts = ()
    void: Void = VOID
    data_root: str | None = Field(default=None, alias="data-root")
    device: str = "cpu"


class Exclude(_Strict):
    """Experiments that are left out: those that match one value of every key."""

    method: _Texts = ()
    dataset: _Texts = ()
    codec: _Texts = ()
    protocol: _Texts = ()
    gop: _Counts = ()
    seed: _Seeds = ()
    precision: _Precisions = ()


class Sweep(Block):
    """A whole file: its own grid, further ones, what is left out, and how it is run."""

    include: tuple[dict[str, Any], ...] = ()
    exclude: tuple[Exclude, ...] = ()
    runs: Annotated[str, Field(min_length=1)] = "results/runs"
    executor: str | None = None
    scheduler: str | None = None
    workers: _Count = 1
    threads: _Threads | None = None
    time_limit: _Seconds | None = Field(default=None, alias="time-limit")
    memory_limit: _Memory | None = Field(default=None, alias="memory-limit")
    latency: StrictBool = False


@dataclass(frozen=True)
class Point:
    """One experiment of a grid, as typed: texts and numbers alone, so that any process can make the
    experiment of it."""

    method: str
    dataset: str
    codec: str
    protocol: str = "dense"
    gop: int | None = None
    seed: int = 0
    precision: Precision = "fp32"
    device: str = "cpu"
    weights: tuple[str, ...] = ()
    measure: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    void: Void = VOID
    data_root: str | None = None


def read(path: Path | None, options: Mapping[str, Any] | None = None) -> Sweep:
    """Return the sweep of a file, if there is one, and of options, which win over it.

    ``options`` are by the file's names. Raises UsageError for a file that does not read, an unknown
    key and a value that does not fit, by the key's name.
    """
    content = {} if path is None else _content(path)
    _check_keys(content, str(path))
    given = dict(options or {})
    blocks = content.get("include", [])
    if isinstance(blocks, list):
        content["include"] = [
            {key: value for key, value in block.items() if key not in given}
            if isinstance(block, dict)
            else block
            for block in blocks
        ]
    sweep = _valid(Sweep, content | given, path or "the options")
    for number, block in enumerate(sweep.include, 1):
        _check_keys(block, f"{path}, [[include]] {number}")
        _valid(Block, block, f"{path}, [[include]] {number}")
    for number, exclude in enumerate(content.get("exclude", []), 1):
        _check_keys(exclude, f"{path}, [[exclude]] {number}")
        if not exclude:
            raise UsageError(f"{path}, [[exclude]] {number} is empty: give a key, or leave it out")
    return sweep


def points(sweep: Sweep) -> list[Point]:
    """Return the experiments of a sweep, in order, each once.

    An exclude that leaves out nothing is told. Raises UsageError where nothing is left.
    """
    own = {name: getattr(sweep, name) for name in Block.model_fields}
    grids = [Block(**own)] if sweep.method or not sweep.include else []
    for block in sweep.include:
        said = {_field(key): value for key, value in block.items()}
        grids.append(Block.model_validate(own | said))
    distinct = dict.fromkeys(itertools.chain.from_iterable(map(_product, grids)))
    left_out = [{point for point in distinct if _matches(point, each)} for each in sweep.exclude]
    kept = [point for point in distinct if not any(point in each for each in left_out)]
    for number, each in enumerate(left_out, 1):
        if not each:
            messages().print(f"[[exclude]] {number} leaves out nothing: no experiment matches it")
    if not kept:
        raise UsageError("no experiment is left: every one is excluded")
    return kept


def chosen(points: Iterable[Point], only: Iterable[str]) -> list[Point]:
    """Return the experiments whose method, dataset or codec is one of those named, or has at least
    its parameters; all of them where none is named. Raises UsageError where none is so."""
    every, wanted = list(points), [parse_variant(text) for text in only]
    names = ("method", "dataset", "codec")
    for variant in wanted:
        if not any(_has(getattr(point, name), variant) for point in every for name in names):
            raise UsageError(
                f"--only {variant}: no experiment has such a method, dataset or codec; --dry-run "
                "without it lists them"
            )
    return [
        point
        for point in every
        if not wanted
        or any(_has(getattr(point, name), variant) for variant in wanted for name in names)
    ]


def _content(path: Path) -> dict[str, Any]:
    try:
        return reading.read_toml(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of a number's length
        raise UsageError(f"{path} is no TOML: {error}") from error


def _check_keys(content: Mapping[str, Any], where: str) -> None:
    """Raise UsageError for a key that is no option's name, but an attribute's, and for an axis
    without a value."""
    for key, value in content.items():
        if "_" in key:
            raise UsageError(
                f"{where}: unknown key {key!r}. Did you mean {key.replace('_', '-')!r}?"
            )
        if key in Exclude.model_fields and value == []:
            raise UsageError(f"{where}: {key} = [] is empty: give a value, or leave the key out")


def _valid(model: type[M], content: Mapping[str, Any], where: object) -> M:
    try:
        return model.model_validate(dict(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"] if part != "dict[str,any]"]
        key = next((part for part in reversed(place) if not part.isdecimal()), "")
        if first["type"] == "extra_forbidden":
            inside = Exclude if place[0] == "exclude" else model
            known = sorted(each.alias or name for name, each in inside.model_fields.items())
            close = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UsageError(
                f"{where}: unknown key {key!r}.{hint} There are {', '.join(known)}"
            ) from error
        said = _EXPECTED.get(first["type"], first["msg"])
        raise UsageError(f"{where}: {key} = {first['input']!r} cannot be used: {said}") from error


def _field(key: str) -> str:
    return key.replace("-", "_")


def _product(block: Block) -> Iterator[Point]:
    """Yield the experiments of a grid, grouped by dataset, protocol and stream: what one method
    encodes the next one reads."""
    axes: tuple[tuple[Any, ...], ...] = (
        block.dataset or (DEFAULT_DATASET,),
        block.protocol,
        block.codec or DEFAULT_CODECS,
        block.gop or (None,),
        block.method or _own_methods(block.weights),
        block.precision,
        block.seed,
    )
    EXPERIMENTS.check(math.prod(map(len, axes)), "the grid is too large", UsageError)
    for dataset, protocol, codec, gop, method, precision, seed in itertools.product(*axes):
        its_gop = None if "gop" in parse_variant(codec).params else gop
        yield Point(
            method, dataset, codec, protocol, its_gop, seed, precision, block.device,
            block.weights, block.measure, block.without, block.void, block.data_root,
        )  # fmt: skip


def _own_methods(weights: Iterable[str]) -> tuple[str, ...]:
    from vssbench.weights.file import open_weights

    return tuple(str(open_weights(Path(path)).variant) for path in weights) or DEFAULT_METHODS


def _matches(point: Point, exclude: Exclude) -> bool:
    """Return whether an experiment matches one value of each key that is given."""
    variants = ("method", "dataset", "codec")
    given = [name for name in Exclude.model_fields if getattr(exclude, name)]
    return bool(given) and all(
        any(_has(getattr(point, name), parse_variant(text)) for text in getattr(exclude, name))
        if name in variants
        else _value(point, name) in getattr(exclude, name)
        for name in given
    )


def _value(point: Point, name: str) -> Any:
    if name == "gop":
        return parse_variant(point.codec).params.get("gop", point.gop)
    return getattr(point, name)


def _has(text: str, wanted: Variant) -> bool:
    """Return whether a variant has that name and at least those parameters."""
    variant = parse_variant(text)
    return variant.name == wanted.name and wanted.params.items() <= variant.params.items()
