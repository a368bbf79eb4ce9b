"""Trials of codecs' vectors on scenes of known motion and on clips.

A clip's own pictures are the judge.

``known`` compares every cell's vector with the truth. ``follow`` moves the decoded pictures of any
clip by the vectors and compares them with what came.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vssbench.codec.prediction import moved, predict
from vssbench.codec.spec import Codec
from vssbench.codec.vectors.exported import MACROBLOCK
from vssbench.core import registry
from vssbench.core.motion import NONE, References, Vectors, dense
from vssbench.core.variant import parse_variant
from vssbench.core.video import Clip, Frame, Image

#: (height, width): CamVid's two, Cityscapes', and one that no block size divides
SIZES = ((360, 480), (720, 960), (1024, 2048), (277, 351))
PRESETS = ("fast", "medium")
#: a constant quality that starves no block
QUALITY = {
    "h264": {"crf": 12},
    "hevc": {"crf": 12},
    "mpeg4": {"qp": 2},
    "mpeg2": {"qp": 2},
    "vp9": {"crf": 12},
    "av1": {"crf": 13},
}
CODECS = tuple(QUALITY)
#: pixels from the truth in x and in y: what an encoder can send that searches quarter pixels, and
#: half pixels
QUARTER, HALF = 0.25, 0.5
#: least share of vectors within the tolerance, and of cells that have a vector
BOUND, EXPERIMENTAL_BOUND, LEAST_COVERED = 0.99, 0.95, 0.95

#: sides of the squares that are taken for blocks, pixels
BLOCKS = (8, 16, 32, 64)

_Array = npt.NDArray[np.float64]


def tolerance(codec: str) -> float:
    """Return the pixels that a codec's vectors may be off the truth, in x and in y."""
    return HALF if codec in ("mpeg4", "mpeg2") else QUARTER


def bound(codec: str) -> float:
    """Return the least share of a codec's vectors that must lie within the tolerance."""
    return EXPERIMENTAL_BOUND if codec in ("vp9", "av1") else BOUND


class Motion(NamedTuple):
    """A camera's motion by frame: ``pan`` pixels (x, y), and a ``zoom`` about the image's centre.

    Frame i shows at p what the scene holds at ``centre + zoom^i (p - centre) + i pan``.
    """

    pan: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0

    def scene(self, index: int | References, position: _Array, axis: int, size: int) -> _Array:
        """Return the scene's place that the frame ``index`` shows at ``position``.

        ``position`` holds coordinates of an axis (0: x, 1: y).
        """
        return centre(size) + self.zoom**index * (position - centre(size)) + index * self.pan[axis]

    def source(
        self, index: int, reference: References, position: _Array, axis: int, size: int
    ) -> _Array:
        """Return the place where the frames ``reference`` show a place of frame ``index``.

        ``position`` are its coordinates on an axis.
        """
        there = self.scene(index, position, axis, size) - reference * self.pan[axis] - centre(size)
        return centre(size) + there / self.zoom**reference


def centre(size: int) -> float:
    """Return the middle of an image's side, in the coordinates of pixel centres."""
    return (size - 1) / 2


#: the zoom is slow enough for blocks, which move as a whole: in one of 64x64 the corners move by
#: 1/8 pixel against the middle
MOTIONS = {
    "pan (3, 2)": Motion((3.0, 2.0)),
    "pan (2.25, -1.5)": Motion((2.25, -1.5)),
    "pan (13, -9)": Motion((13.0, -9.0)),
    "zoom 1/264": Motion(zoom=1 - 1 / 264),
}


class Scene:
    """A texture that can be evaluated anywhere, so that frames are exact at any sub-pixel position:
    a sum of plane waves.

    Waves of 4 to 64 pixels in all directions, as many an octave, each of the same strength: motion
    shows in every block.
    """

    WAVES, SHORTEST, LONGEST, DEVIATION = 96, 4.0, 64.0, 40.0

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        number = 2 * np.pi / np.geomspace(self.SHORTEST, self.LONGEST, self.WAVES)
        direction = rng.uniform(0, np.pi, self.WAVES)
        self._x, self._y = number * np.cos(direction), number * np.sin(direction)
        # the channels differ a little: colour, but mostly light and shade
        self._phase = rng.uniform(0, 2 * np.pi, self.WAVES) + rng.uniform(
            -0.5, 0.5, (3, self.WAVES)
        )

    def render(self, x: _Array, y: _Array) -> Image:
        """Return the image (H, W, 3) of the scene at columns ``x`` (W) and rows ``y`` (H).

        ``cos(a + b) = cos a cos b - sin a sin b`` makes the sum over all waves one product of
        matrices.
        """
        across = np.outer(self._x, x)
        columns = np.concatenate([np.cos(across), np.sin(across)]).astype(np.float32)
        strength = self.DEVIATION * np.sqrt(2 / self.WAVES)
        image = np.empty((len(y), len(x), 3), np.uint8)
        for channel, phase in enumerate(self._phase):
            down = np.outer(y, self._y) + phase
            rows = np.concatenate([np.cos(down), -np.sin(down)], axis=1).astype(np.float32)
            image[..., channel] = np.clip(np.rint(128 + strength * (rows @ columns)), 0, 255)
        return image


def moving_clip(motion: Motion, height: int, width: int, length: int) -> Clip:
    """Render a clip of the scene that moves so, at once: it may be encoded many times."""
    scene, x, y = Scene(), np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)
    images = [
        scene.render(motion.scene(index, x, 0, width), motion.scene(index, y, 1,
        height)) for index in range(length)
    ]  # fmt: skip
    name = f"{motion}-{height}x{width}"
    return Clip(name, length, height, width, 30.0, images.__getitem__, lambda index: None, name)


@dataclass(frozen=True)
class Known:
    """Vectors against the truth. ``right``: share of vectors within the tolerance in x and y;
    ``covered``: share of cells that have a vector; ``further``: share of vectors into a picture
    before the last.

    Those cells of all frames but the first count whose macroblock lies wholly inside the image, and
    its true source wholly inside the reference (for ``covered``: inside the frame before).
    Elsewhere there is no truth to send: MPEG-2's vectors cannot leave the picture, and what lies
    beyond an odd size is the encoder's padding, which does not move.
    """

    right: float
    covered: float
    further: float


def known(codec: Codec, clip: Clip, motion: Motion, tolerance: float) -> Known:
    """Encode and decode a clip that moves so, and compare the vectors of all cells with the truth.
    GOP: the clip."""
    right, further, vectors, covered, cells = 0, 0, 0, 0, 0
    for frame in codec.frames(clip):
        assert frame.motion is not None
        blocks = frame.motion.blocks
        if blocks is None:
            continue
        before = np.full_like(blocks.references[0], frame.index - 1)
        counted = _counted(motion, frame, before, clip)
        cells += int(counted.sum())
        covered += int((counted & (blocks.references != NONE).any(0)).sum())
        for vector, reference in zip(blocks.vectors, blocks.references, strict=True):
            counted = _counted(motion, frame, reference, clip) & (reference != NONE)
            truth = _truth(motion, frame, vector, reference, clip)
            near = (np.abs(vector - truth) <= tolerance + 1e-6).all(-1)
            right += int((near & counted).sum())
            further += int((counted & (reference != frame.index - 1)).sum())
            vectors += int(counted.sum())
    return Known(right / max(vectors, 1), covered / max(cells, 1), further / max(vectors, 1))


def _counted(
    motion: Motion, frame: Frame, reference: References, clip: Clip
) -> npt.NDArray[np.bool_]:
    """Return which cells count (gh, gw): see Known."""
    assert frame.motion is not None
    counted = np.ones(reference.shape, bool)
    for axis, size in enumerate((clip.width, clip.height)):
        first = _corner(reference.shape, frame.motion.cell, axis) // MACROBLOCK * MACROBLOCK
        last = first + MACROBLOCK - 1
        counted &= (motion.source(frame.index, reference, first, axis, size) >= 0) & (
            last <= size - 1
        )
        counted &= motion.source(frame.index, reference, last, axis, size) <= size - 1
    return counted


def _truth(
    motion: Motion, frame: Frame, vectors: Vectors, reference: References, clip: Clip
) -> _Array:
    """Return the true vectors (gh, gw, 2) to the references, at the middle of the block that each
    cell belongs to.

    A block moves as a whole, and streams do not all tell where one ends: the largest square of 8 to
    64 pixels counts, at a multiple of its side, in which all cells have the same vector.
    """
    assert frame.motion is not None
    cell = frame.motion.cell
    sides = np.full(reference.shape, cell)
    told = np.dstack([vectors, reference])
    for side in (side for side in BLOCKS if side > cell):
        padding = [(0, -count % (side // cell)) for count in reference.shape]
        padded = np.pad(told, [*padding, (0, 0)], mode="edge")
        rows, columns = (count // (side // cell) for count in padded.shape[:2])
        squares = padded.reshape(rows, side // cell, columns, side // cell, 3)
        alike = (squares == squares[:, :1, :, :1]).all((1, 3, 4))
        sides[dense(alike, side // cell, *reference.shape)] = side
    truth = np.empty(vectors.shape)
    for axis, size in enumerate((clip.width, clip.height)):
        middle = _corner(reference.shape, cell, axis) // sides * sides + (sides - 1) / 2
        truth[..., axis] = motion.source(frame.index, reference, middle, axis, size) - middle
    return truth


def _corner(shape: tuple[int, ...], cell: int, axis: int) -> _Array:
    """Return the first coordinate of every cell (gh, gw) on an axis, pixels."""
    return np.indices(shape)[1 - axis] * float(cell)


@dataclass(frozen=True)
class Followed:
    """The errors of a clip's pictures as its vectors predict them.

    Errors are means over pixels, R, G and B of the absolute difference in grey levels, from the
    decoded pictures unless said otherwise; pictures are moved by bilinear reading.

    ``one_step``: each frame against its prediction, every pixel from the picture that its own block
    refers to, by its own vector. ``zero_motion``: against the frame before as it is. ``on_source``:
    as ``one_step``, with the source's pictures in place of the decoded ones. All three over the
    pixels that have a vector, of all frames but keyframes; ``covered`` is their share.
    ``to_keyframe``: the last frame of each GOP against its keyframe moved by the accumulated field;
    ``keyframe``: against the keyframe as it is. Both over all pixels. ``kbps`` are measured from
    the packets; ``psnr_db`` and ``ssim`` of luma are means over all frames.
    """

    one_step: float
    zero_motion: float
    on_source: float
    covered: float
    to_keyframe: float
    keyframe: float
    kbps: float
    psnr_db: float
    ssim: float


def follow(codec: Codec, clip: Clip, cache: Path | None = None) -> Followed:
    """Encode and decode a clip of at least one GOP, without B-frames, and judge the vectors by the
    decoded pictures."""
    sums, counts, far, seen = np.zeros(3), np.zeros(2), [], []
    images: dict[int, Image] = {}
    sources: dict[int, Image] = {}
    for frame in codec.frames(clip, cache):
        field = frame.motion
        assert field is not None
        seen.append((frame.bits, frame.psnr_db, frame.ssim))
        if frame.distance == 0:
            images, sources = {}, {}
        images[frame.index], sources[frame.index] = frame.image, clip.image(frame.index)
        if field.blocks is None or field.step is None:
            continue
        covered = dense(
            (field.blocks.references != NONE).any(0), field.cell, clip.height, clip.width
        )
        predicted, of_source = (
            predict(field.step, pictures, field.cell) for pictures in (images, sources)
        )
        pairs = (
            (predicted, frame.image),
            (images[frame.index - 1], frame.image),
            (of_source, sources[frame.index]),
        )
        sums += [_error(guess, image, covered) for guess, image in pairs]
        counts += covered.sum(), covered.size
        if frame.distance == codec.gop - 1:
            keyframe, everywhere = images[frame.index - frame.distance], np.ones_like(covered)
            guesses = (moved(keyframe, field.grid, field.cell), keyframe)
            far.append([_error(guess, frame.image, everywhere) / covered.size for guess in guesses])
    one_step, zero_motion, on_source = sums / counts[0]
    to_keyframe, as_it_is = np.mean(far, axis=0)
    bits, psnr, ssim = np.mean(seen, axis=0)
    share, kbps = counts[0] / counts[1], bits * clip.fps / 1000
    figures = (one_step, zero_motion, on_source, share, to_keyframe, as_it_is, kbps, psnr, ssim)
    return Followed(*map(float, figures))


def _error(guess: npt.NDArray[Any], image: Image, where: npt.NDArray[np.bool_]) -> float:
    """Sum over the pixels of the mean absolute difference of the three channels."""
    difference = np.abs(guess.astype(np.float32) - image)
    return float(difference.mean(-1)[where].sum(dtype=np.float64))


def codec_of(name: str, **options: object) -> Codec:
    """Return the codec with these options, as ``hevc[gop=12]``."""
    codec: Codec = registry.create(
        "codecs", parse_variant(f"{name}[{','.join(f'{k}={v}' for k, v in options.items())}]")
    )
    return codec


def beginning(clip: Clip, length: int) -> Clip:
    """Return the first frames of a clip, as a clip."""
    return replace(
        clip,
        name=f"{clip.name}-{length}",
        length=length,
        fingerprint=f"{clip.fingerprint}-{length}",
    )
