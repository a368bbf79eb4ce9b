"""The course of a training: its phases in order, and what the recipe says of each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from vssbench.core.errors import UsageError
from vssbench.core.segmenter import Phase, VideoSegmenter
from vssbench.core.variant import Variant
from vssbench.training.recipe import PhaseRecipe, Recipe
from vssbench.training.sources import check_codecs
from vssbench.training.validation import best_entry, measure_of


@dataclass(frozen=True)
class Course:
    """The phases of a training by number, under its recipe.

    ``given`` are the names of the tensors that ``--init`` gave.
    """

    recipe: Recipe
    phases: Sequence[Phase]
    given: frozenset[str]

    def held(self, number: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the submodules that a phase does not train, and those whose batch normalisation it
        does not: the recipe's count where ``--init`` gave them weights, since random ones would
        stay random."""
        recipe = self.recipe_of(number)
        frozen, normalised = (
            tuple(
                name for name in names if any(given.startswith(f"{name}.") for given in self.given)
            )
            for names in (recipe.frozen, recipe.frozen_batch_norm)
        )
        return (*self.phases[number].frozen, *frozen), normalised

    def recipe_of(self, number: int) -> PhaseRecipe:
        return self.recipe.of(self.phases[number].name)

    def length(self, number: int) -> int:
        """Return the epochs or iterations of a phase, whichever the recipe counts."""
        share = self.recipe_of(number).share
        share = self.phases[number].share if share is None else share
        return (
            max(1, round((self.recipe.epochs or self.recipe.iterations or 0) * share))
            if share
            else 0
        )

    def joined(self, number: int) -> range:
        """Return the phases that share an optimiser and a schedule with this one.

        These are those before it that it continues, and on.
        """
        first, last = number, number
        while first > 0 and self.recipe_of(first).continues == self.phases[first - 1].name:
            first -= 1
        while (
            last + 1 < len(self.phases)
            and self.recipe_of(last + 1).continues == self.phases[last].name
        ):
            last += 1
        return range(first, last + 1)

    def takes_best(self, number: int) -> bool:
        """Return whether a phase ends with its best state: not where the next one goes on with its
        optimiser, one training in two."""
        return self.recipe.select == "best" and self.joined(number)[-1] == number

    def bests(self, history: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return the best score of each phase that was judged, and whether the phase ended with
        that state."""
        bests = {}
        for number, phase in enumerate(self.phases):
            entry = best_entry(history, phase)
            if entry is not None:
                state = {"epoch": entry["epoch"], "taken": self.takes_best(number)}
                bests[phase.name] = {
                    "measure": measure_of(phase),
                    "score": entry["validation"],
                    **state,
                }
        return bests


def chosen_phases(
    variant: Variant, model: VideoSegmenter, asked: Collection[str], replaced: Collection[str]
) -> list[Phase]:
    """Return the phases to run: those that were ``asked`` for by name, else all but those whose
    result ``--init`` gave. Raises UsageError for a name that the method does not have."""
    phases = model.phases()
    unknown = [name for name in asked if name not in {phase.name for phase in phases}]
    if unknown:
        names = ", ".join(phase.name for phase in phases)
        raise UsageError(f"{variant} has no training phase {unknown[0]!r}; it has {names}")
    return [
        phase for phase in phases if (phase.name in asked if asked else phase.name not in replaced)
    ]


def check_phases(variant: Variant, model: VideoSegmenter, course: Course) -> None:
    """Refuse, before anything is trained, what a later phase could not do. Raises UsageError."""
    modules = {name for name, _ in model.named_modules()}
    for number, phase in enumerate(course.phases):
        recipe = course.recipe_of(number)
        for name in (*recipe.frozen, *recipe.frozen_batch_norm):
            if name not in modules:
                raise UsageError(
                    f"recipe {course.recipe.name}: {variant} has no part {name!r} to freeze"
                )
        if course.length(number):
            check_codecs(phase, recipe, model.needs)
