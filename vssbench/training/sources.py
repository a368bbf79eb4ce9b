"""Which samples a phase of training is fed with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vssbench.codec.encoded import EncodedCodec
from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.segmenter import Phase
from vssbench.core.variant import Variant, parse_variant
from vssbench.training.flow import GAPS, AffineFlow, VideoFlow
from vssbench.training.pairs import (
    SOME_FRAMES,
    Coding,
    EgoMotionPairs,
    GapPairs,
    VideoPairs,
    as_gop,
    at_quality,
)
from vssbench.training.recipe import PhaseRecipe
from vssbench.training.samples import Samples, Stills


def samples_of(phase: Phase, recipe: PhaseRecipe, stills: Stills, needs: frozenset[str]) -> Samples:
    """Return the samples of a phase, not yet preloaded: stills, pairs or flow; where clips are
    single images, made of those.

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
        raise UsageError(
            f"phase {phase.name} asks for {phase.data!r}: expected stills, pairs or flow"
        )
    motion = "motion" in needs
    codecs = _codecs(recipe.codecs, motion)
    coding = Coding(codecs, motion, recipe.pixels == "original", recipe.rate == "stated")
    if not moving:
        return (
            EgoMotionPairs(stills, coding, gaps)
            if gaps is not None
            else EgoMotionPairs(stills, coding)
        )
    if gaps is not None:
        return GapPairs(stills, coding, gaps)
    return VideoPairs(stills, coding)


def check_codecs(phase: Phase, recipe: PhaseRecipe, needs: frozenset[str]) -> None:
    """Raise, before anything is trained, where a phase could not be given its pairs.

    UsageError for a codec that does not exist, that has no motion where the method needs it, or
    that cannot code a GOP of a pair's length at a pair's rate; MotionUnavailable for vectors that
    cannot be read here.
    """
    motion = "motion" in needs
    if phase.data != "pairs" or (recipe.pixels == "original" and not motion):
        return
    gaps = recipe.gaps or phase.gaps or SOME_FRAMES
    for codec in _codecs(recipe.codecs, motion):
        rated = codec if recipe.rate == "stated" else at_quality(codec, np.random.default_rng(0))
        coders = [registry.create("codecs", as_gop(rated, gap + 1)) for gap in gaps]
        if motion and isinstance(coders[-1], EncodedCodec):
            coders[-1].check_motion()


def _codecs(texts: Sequence[str], motion: bool) -> tuple[Variant, ...]:
    """Return codecs' variants, checked to exist and to give the motion that is needed."""
    variants = tuple(parse_variant(text) for text in texts)
    for variant in variants:
        codec = registry.create("codecs", variant)
        if motion and not codec.has_motion:
            raise UsageError(
                f"this method needs motion vectors, and {variant} has none: train with another "
                "--codec"
            )
    return variants
