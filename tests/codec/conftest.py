"""Clips whose motion is known exactly (a large textured image that a window moves across), and the
real clip."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from vssbench import native
from vssbench.codec.spec import Codec
from vssbench.codec.vectors.proof import prove, texture
from vssbench.core import registry
from vssbench.core.errors import VssbenchError
from vssbench.core.variant import parse_variant
from vssbench.core.video import Clip, Image

Pan = Callable[..., Clip]

DATA = os.environ.get("VSSBENCH_TEST_DATA", "")


def make_pan(
    height: int,
    width: int,
    length: int,
    motion: tuple[float, float] = (0.0, 0.0),
    cut: int | None = None,
    fps: float = 30.0,
) -> Clip:
    """A clip whose true backward motion is ``motion`` pixels a frame; at frame ``cut`` the scene
    changes."""
    margin = int(max(map(abs, motion)) * length) + 8
    scenes = [
        Pillow.fromarray(texture(height + 2 * margin, width + 2 * margin, seed)) for seed in (0, 1)
    ]

    def image(index: int) -> Image:
        scene = scenes[cut is not None and index >= cut]
        offset = (1, 0, margin + index * motion[0], 0, 1, margin + index * motion[1])
        return np.asarray(
            scene.transform(
                (width, height), Pillow.Transform.AFFINE, offset, Pillow.Resampling.BICUBIC
            )
        )

    name = f"pan-{height}x{width}-{length}-{motion}-{cut}"
    return Clip(name, length, height, width, fps, image, lambda index: None, name)


@pytest.fixture
def pan() -> Pan:
    return make_pan


@pytest.fixture(params=["compiled", "numpy"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kernels of motion and colour: compiled, or their forms in numpy."""
    if request.param == "numpy":
        monkeypatch.setattr(native, "video_kernels", lambda: None)
    elif native.video_kernels() is None:
        pytest.skip("the compiled kernels cannot be used here")
    return str(request.param)


@pytest.fixture(scope="session")
def real_clip() -> Clip:
    """CamVid's validation clip: 101 frames of 480x360, 15 a second."""
    folder = Path(DATA) / "camvid360"
    if not DATA or not folder.is_dir():
        pytest.skip("VSSBENCH_TEST_DATA does not hold camvid360/")
    (clip,) = registry.create("datasets", parse_variant("camvid"), root=folder).scored_clips
    return clip


@pytest.fixture(scope="session")
def provable() -> Callable[[str], None]:
    """Skips where a codec's vectors cannot be had on this machine: a library is missing, or the
    self-test refuses."""

    def check(name: str) -> None:
        codec: Codec = registry.create("codecs", parse_variant(name))
        try:
            reason = prove(codec).reason  # type: ignore[arg-type]
        except VssbenchError as error:
            reason = str(error)
        if reason:
            pytest.skip(reason)

    return check
