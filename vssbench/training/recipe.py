"""Recipes: how a method is trained, as data. ``recipes/NAME.toml`` holds those of a method,
``default.toml`` the others'.

A file has one table a recipe (``[short]``, ``[paper]``), and in it, where data sets differ, one
table a data set (``[paper.cityscapes]``) that overrides it. In both,
``[paper.when."backbone=bise18"]`` overrides where a parameter of the method has that value. A
recipe begins with the default file's of the same name, or else with every field's default here. One
that ``begins_with = "paper"`` is laid over another of the same method. Options typed on the command
line override all.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic import NonNegativeFloat as NonNegative
from pydantic import PositiveFloat as Positive

from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.variant import Value, Variant, format_value
from vssbench.training.augment import Augmentation

DEFAULT = "default"

#: the table of a recipe that holds further ones by a parameter's value
WHEN = "when"
#: fields of a recipe that are said and change no weight
SAID = frozenset({"initial", "selection", "departures"})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Optimiser(_Strict):
    """``momentum`` is SGD's, and Adam's first beta. ``multipliers`` of the learning rate by part of
    the network: a key matches parameters whose dotted name has it as one or more whole segments,
    the longest key wins, ``*`` is all the rest. ``decay_all = false`` spares biases and batch
    normalisation the weight decay."""

    kind: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: Positive = 1e-3
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: NonNegative = 0.01
    decay_all: bool = True
    multipliers: dict[str, Positive] = {}

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Optimiser:
        if self.nesterov and (self.kind != "sgd" or not self.momentum):
            raise ValueError("nesterov is for kind = 'sgd' with momentum above 0")
        return self


class Schedule(_Strict):
    """Factor of the learning rate, anew at every iteration.

    The warm-up leads from ``warmup_start`` to 1 in ``warmup`` iterations or epochs (at most half of
    all). ``floor`` is the last factor of cosine and poly; ``milestones`` are shares of the whole
    length, each multiplies by ``gamma``.
    """

    kind: Literal["cosine", "poly", "step", "constant"] = "cosine"
    power: Positive = 0.9
    milestones: tuple[float, ...] = ()
    gamma: Positive = 0.1
    floor: NonNegative = 0.0
    warmup: NonNegative = 0.0
    warmup_unit: Literal["iterations", "epochs"] = "iterations"
    warmup_form: Literal["linear", "exponential"] = "linear"
    warmup_start: Positive = 0.05

    @model_validator(mode="after")
    def _milestones_where_they_count(self) -> Schedule:
        if (self.kind == "step") != bool(self.milestones) or not all(
            0 < share < 1 for share in self.milestones
        ):
            raise ValueError(
                "milestones are shares between 0 and 1, for kind = 'step' and for no other"
            )
        return self


class PhaseRecipe(_Strict):
    """The values of a recipe that may differ from phase to phase.

    ``batch`` counts the images of a step over all processes; ``clip`` bounds the gradient's norm
    (0: no bound); ``gaps`` is the range of frames from a pair's keyframe to its image (none: the
    codec's own keyframe); ``pixels`` says whether pairs show what the codec decoded or the
    originals; ``share`` of the epochs, the method's own where none is given; ``continues`` is the
    phase before, where optimiser and schedule go on from it: one training in two parts. ``rate`` is
    that of pairs made of stills: a random quality for each, or what the codec's parameters state
    (pairs of video always have the latter).

    ``frozen`` names submodules that keep the weights that ``--init`` gave them,
    ``frozen_batch_norm`` those whose batch normalisation does, statistics, scale and shift; a
    submodule that was given none is trained in full.
    """

    batch: PositiveInt = 8
    clip: NonNegative = 0.0
    class_weights: Literal["none", "enet"] = "none"
    gaps: tuple[int, int] | None = None
    pixels: Literal["decoded", "original"] = "decoded"
    codecs: tuple[str, ...] = ("h264[bitrate=1M]",)
    rate: Literal["random", "stated"] = "random"
    frozen: tuple[str, ...] = ()
    frozen_batch_norm: tuple[str, ...] = ()
    share: NonNegative | None = None
    continues: str | None = None
    optimiser: Optimiser = Field(default_factory=Optimiser)
    schedule: Schedule = Field(default_factory=Schedule)
    augmentation: Augmentation = Field(default_factory=Augmentation)

    @model_validator(mode="after")
    def _gaps_in_order(self) -> PhaseRecipe:
        if self.gaps is not None and not 0 <= self.gaps[0] <= self.gaps[1]:
            raise ValueError("gaps are two numbers of frames, from 0 up, the smaller first")
        return self


class Recipe(_Strict):
    """A recipe with everything settled. ``epochs`` or ``iterations`` are those of a phase of share
    1; ``parameters`` are the method's own where the user typed none; every ``validate_every``
    epochs, and after a phase's last, the state is judged on clips held out of training (0: never,
    and nothing is held out); ``select`` is the state that a phase ends with: the best of those
    judged, or the last; ``common`` holds for every phase that ``phases`` does not name, and a phase
    that is named and that a variant does not have is not missed.

    ``stages`` names a parameter and the values that it takes in turn: one training for each, from
    the weights of the one before, up to the variant's own value.

    Three fields are said and change nothing: ``initial``, what the authors start from and
    ``--init`` has to give; ``selection``, how they choose the epoch whose weights they keep;
    ``departures``, a line for each point in which a training by this recipe is not theirs, and why.
    """

    name: str
    epochs: PositiveInt | None = None
    iterations: PositiveInt | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    parameters: dict[str, bool | int | float | str] = {}
    validate_every: NonNegativeInt = 0
    select: Literal["best", "last"] = "best"
    initial: str = ""
    selection: str = ""
    stages: dict[str, tuple[int | float | str, ...]] = {}
    departures: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    common: PhaseRecipe = Field(default_factory=PhaseRecipe)
    phases: dict[str, PhaseRecipe] = {}

    @model_validator(mode="after")
    def _one_length(self) -> Recipe:
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError("a recipe has either epochs or iterations")
        return self

    @model_validator(mode="after")
    def _one_parameter_in_stages(self) -> Recipe:
        if len(self.stages) > 1 or not all(self.stages.values()):
            raise ValueError("stages are of one parameter, with the values that it takes")
        return self

    def of(self, phase: str) -> PhaseRecipe:
        """Return the values that hold for the phase of that name."""
        return self.phases.get(phase, self.common)

    def flat(self) -> dict[str, str]:
        """Return every value that weights depend on by its dotted name, as text: part of a
        training's identity."""
        content = self.model_dump(mode="json", exclude=set(SAID))
        common = content.pop("common")
        phases = content.pop("phases")
        return {
            key: str(value)
            for key, value in _flatten({**content, **common, "phases": phases})
            if value is not None
        }


#: what a recipe says once, for all phases
_TOP = tuple(key for key in Recipe.model_fields if key not in ("name", "common", "phases"))


def names(method: str) -> list[str]:
    """Return the recipes that a method can be trained by."""
    tables = {**_tables(DEFAULT), **_tables(method)}
    return sorted(name for name, content in tables.items() if isinstance(content, dict))


def load_recipe(
    method: str | Variant, dataset: str, name: str, overrides: dict[str, Any] | None = None
) -> Recipe:
    """Return the recipe of that name for a method, or a variant of it, on a data set, with what the
    user typed: keys as in the file, with dots.

    Raises UsageError for a recipe that there is not, and for a key or value that means nothing.
    """
    typed = method.params if isinstance(method, Variant) else {}
    method = method.name if isinstance(method, Variant) else method
    content = _merged(method, dataset, name, typed)
    phases = content.pop("phases", {})
    for key, value in (overrides or {}).items():
        _override(content, key, value)
        for phase in phases.values():
            _forget(phase, key)
    top = {key: content.pop(key) for key in _TOP if key in content}
    settled = {phase: _combined(content, own) for phase, own in phases.items()}
    try:
        return Recipe.model_validate({"name": name, **top, "common": content, "phases": settled})
    except ValidationError as error:
        raise UsageError(f"recipe {name!r} of {method}: {_first_fault(error)}") from error


def _merged(
    method: str, dataset: str, name: str, typed: Mapping[str, Value], above: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the default file's table, the method's, and the data set's in it, the later one over
    the earlier, each with its conditions that are met. ``above`` are the recipes that begin with
    it."""
    if name in above:
        raise UsageError(f"recipes of {method} begin with one another: {', '.join((*above, name))}")
    tables = [file[name] for file in (_tables(DEFAULT), _tables(method)) if name in file]
    if not tables:
        raise UsageError(f"{method} has no recipe {name!r}; it has {', '.join(names(method))}")
    known = {*Recipe.model_fields, *PhaseRecipe.model_fields, WHEN}
    content: dict[str, Any] = {}
    for table in tables:
        if "begins_with" in table:
            content = _combined(
                content, _merged(method, dataset, table["begins_with"], typed, (*above, name))
            )
            table = {key: value for key, value in table.items() if key != "begins_with"}
        datasets = {
            key: value
            for key, value in table.items()
            if isinstance(value, dict) and key not in known
        }
        for key, value in datasets.items():
            if not known.issuperset(value):
                raise UsageError(
                    f"recipe {name!r} of {method}: unknown key "
                    f"{f'{key}.{min(set(value) - known)}'!r}"
                )
        general = {key: value for key, value in table.items() if key not in datasets}
        for layer in (general, datasets.get(dataset, {})):
            content = _combined(
                content, {key: value for key, value in layer.items() if key != WHEN}
            )
            for condition, further in layer.get(WHEN, {}).items():
                if _met(condition, method, {**content.get("parameters", {}), **typed}):
                    content = _combined(content, further)
    return content


def _met(condition: str, method: str, given: Mapping[str, Value]) -> bool:
    """Return whether a parameter has the value of ``parameter=value``, with those that are given.

    Raises UsageError where the method has no such parameter.
    """
    values = registry.resolved("methods", Variant(method, dict(given)))
    parameter, _, value = condition.partition("=")
    if parameter not in values:
        raise UsageError(
            f"a recipe of {method} has {WHEN} {condition!r}, and {method} has no parameter "
            f"{parameter!r}"
        )
    return format_value(values[parameter]) == value


@cache
def _tables(method: str) -> dict[str, Any]:
    """Return a recipe file's content; empty where the method has none."""
    file = recipe_file(method)
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def recipe_file(method: str) -> Path:
    """Return where a method's recipes are, whether or not there are any: ``recipe`` of its class,
    beside its module."""
    if method == DEFAULT:
        return Path(__file__).parent / "default.toml"
    cls = registry.load("methods", method)
    return Path(inspect.getfile(cls)).parent / str(cls.recipe)


def _combined(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return one table laid over another, tables in them likewise; a length in one unit replaces
    the one in the other."""
    gone = {"epochs", "iterations"} if {"epochs", "iterations"} & over.keys() else set()
    result = {key: value for key, value in under.items() if key not in gone}
    for key, value in over.items():
        below = result.get(key)
        result[key] = (
            _combined(below, value)
            if isinstance(below, dict) and isinstance(value, dict)
            else value
        )
    return result


def _override(content: dict[str, Any], key: str, value: Any) -> None:
    for part in reversed(key.split(".")):
        value = {part: value}
    merged = _combined(content, value)
    content.clear()
    content.update(merged)


def _forget(content: dict[str, Any], key: str) -> None:
    """Remove a phase's own value of a key, so that what the user typed holds."""
    *tables, last = key.split(".")
    for table in tables:
        content = content.get(table, {})
    content.pop(last, None)


def _flatten(content: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    settings: list[tuple[str, Any]] = []
    for key, value in content.items():
        settings += (
            _flatten(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else [(f"{prefix}{key}", value)]
        )
    return settings


def _first_fault(error: ValidationError) -> str:
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"] if part != "common")
    if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key {place!r}"
    given = "" if isinstance(fault["input"], dict | BaseModel) else f"; found {fault['input']!r}"
    return f"{place + ': ' if place else ''}{fault['msg']}{given}"


def with_parameters(variant: Variant, recipe: Recipe) -> Variant:
    """Return the variant as typed, with the recipe's parameters where the user typed none. Raises
    UsageError for a parameter that the method does not have."""
    settled = Variant(variant.name, {**recipe.parameters, **variant.params})
    registry.resolved("methods", settled)
    return settled
