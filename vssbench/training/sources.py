"""Which samples a phase of training is fed with."""

from __future__ import annotations

from collections.abc import Sequence

from vssbench import registry
from vssbench.errors import UsageError
from vssbench.segmenter import Phase
from vssbench.training.flow import GAPS, AffineFlow, VideoFlow
from vssbench.training.pairs import Coding, EgoMotionPairs, GapPairs, VideoPairs
from vssbench.training.recipe import PhaseRecipe
from vssbench.training.samples import Samples, Stills
from vssbench.variant import Variant, parse_variant


def samples_of(phase: Phase, recipe: PhaseRecipe, stills: Stills, needs: frozenset[str]) -> Samples:
    """The samples of a phase, not yet preloaded: stills, pairs or flow; where clips are single images, made of those.

    Raises UsageError where the method needs motion and a codec has none.
    """
    stills = stills.augmented_by(recipe.augmentation)
    moving = any(clip.length > 1 for clip in stills.clips)
    gaps = recipe.gaps if recipe.gaps is not None else phase.gaps
    if phase.data == "stills":
        return stills
    if phase.data == "flow":
        known = moving and all(clip.flow is not None for clip in stills.clips)
        return (VideoFlow if known else AffineFlow)(stills, gaps or GAPS)
    if phase.data != "pairs":
        raise UsageError(f"phase {phase.name} asks for {phase.data!r}: expected stills, pairs or flow")
    coding = Coding(_codecs(recipe.codecs, "motion" in needs), "motion" in needs, recipe.pixels == "original")
    if not moving:
        return EgoMotionPairs(stills, coding, gaps) if gaps is not None else EgoMotionPairs(stills, coding)
    if gaps is not None:
        return GapPairs(stills, coding, gaps)
    return VideoPairs(stills, coding)


def _codecs(texts: Sequence[str], motion: bool) -> tuple[Variant, ...]:
    """Codecs' variants, checked to exist and to give the motion that is needed."""
    variants = tuple(parse_variant(text) for text in texts)
    for variant in variants:
        codec = registry.create("codecs", variant)
        if motion and not codec.has_motion:
            raise UsageError(f"this method needs motion vectors, and {variant} has none: train with another --codec")
    return variants
