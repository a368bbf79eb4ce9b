"""AR-Seg's published steps told again with numpy, from block vectors to a non-keyframe's logits,
and ``warp=paper`` beside them.

Sources: pre-process/generate_compressed_dataset_camvid.py (the field), evaluation.py and
train_pair.py (its resizing, the warp, the resizes of image and logits), model/attention.py and
model/bisenet.py (CReFF, the last layers) of THU-LYJ-Lab/AR-Seg@6a72b5d.
"""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.codec.conftest import provable
from vssbench import native
from vssbench.codec.motion import compose, settle
from vssbench.codec.vectors.reader import BlockVectors
from vssbench.core import registry
from vssbench.core.motion import NONE, Step, dense
from vssbench.core.opening import open_dataset
from vssbench.core.variant import parse_variant
from vssbench.nets.warp import resize_motion_paper, warp

__all__ = ["provable"]  # the fixture
Array = NDArray[np.float64]
CELL, HEIGHT, WIDTH, FRAMES = 4, 96, 136, 5


def block_vectors(rng: np.random.Generator, index: int) -> BlockVectors:
    """A P-picture's vectors in quarter pixels, into up to three pictures, a tenth of it intra.

    Rounded, they carry whole cells to cells inside the frame, so that a field on cells can hold
    what the authors keep for every pixel.
    """
    rows, columns = HEIGHT // CELL, WIDTH // CELL
    row, column = np.mgrid[:rows, :columns]
    target = np.stack([column, row], -1) + rng.integers(-3, 4, (rows, columns, 2))
    target = np.clip(target, 0, [columns - 1, rows - 1])
    moved = (target - np.stack([column, row], -1)) * CELL + rng.choice([-0.25, 0, 0.25], (2,))
    references = np.maximum(index - 1 - rng.integers(0, 3, (rows, columns)), 0)
    references[rng.random((rows, columns)) < 0.1] = NONE
    return BlockVectors(
        moved[None].astype(np.float32), references[None].astype(np.int32), index - 1
    )


def published_field(pictures: list[BlockVectors]) -> Array:
    """The last picture's field (H, W, 2): pointers of whole pixels, followed to the first picture
    pixel by pixel; an intra block stands still from the picture before."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ends = [np.stack([x, y], -1)]
    for index, picture in enumerate(pictures, 1):
        vectors = dense(picture.vectors[0], CELL, HEIGHT, WIDTH)
        references = dense(picture.references[0], CELL, HEIGHT, WIDTH)
        intra = references == NONE
        step = np.where(intra[..., None], 0, np.round(vectors)).astype(int)
        to_x = np.clip(x + step[..., 0], 0, WIDTH - 1)
        to_y = np.clip(y + step[..., 1], 0, HEIGHT - 1)
        into = np.where(intra, index - 1, references)
        ends.append(np.stack(ends)[into, to_y, to_x])
    return (ends[-1] - ends[0]).astype(np.float64)


def between_aligned_corners(x: Array, size: tuple[int, int]) -> Array:
    """Bilinear resizing of (..., H, W), whose corner pixels stay corners."""
    for axis, wanted in ((-2, size[0]), (-1, size[1])):
        given = x.shape[axis]
        place = np.arange(wanted) * ((given - 1) / max(wanted - 1, 1))
        first = np.minimum(place.astype(int), max(given - 2, 0))
        second = np.minimum(first + 1, given - 1)
        share = (place - first).reshape((-1, 1) if axis == -2 else (-1,))
        x = x.take(first, axis) * (1 - share) + x.take(second, axis) * share
    return x


def nearest(x: Array, size: tuple[int, int]) -> Array:
    rows, columns = (
        np.arange(wanted) * given // wanted
        for wanted, given in zip(size, x.shape[-2:], strict=True)
    )
    return x[..., rows, :][..., columns]


def published_motion(field: Array, size: tuple[int, int], training: bool) -> Array:
    """The field (H, W, 2) as (2, h, w): both axes by the ratio of the heights."""
    scaled = field.transpose(2, 0, 1) * size[0] / field.shape[0]
    return (nearest if training else between_aligned_corners)(scaled, size)


def published_warp(feature: Array, motion: Array) -> Array:
    """(C, h, w) at places normalised by size - 1 and read as if by size; zero outside."""
    _, height, width = feature.shape
    out = np.zeros_like(feature)
    for y in range(height):
        for x in range(width):
            at_x = (2 * (x + motion[0, y, x]) / max(width - 1, 1) * width - 1) / 2
            at_y = (2 * (y + motion[1, y, x]) / max(height - 1, 1) * height - 1) / 2
            left, top = int(np.floor(at_x)), int(np.floor(at_y))
            for row, by_y in ((top, 1 - (at_y - top)), (top + 1, at_y - top)):
                for column, by_x in ((left, 1 - (at_x - left)), (left + 1, at_x - left)):
                    if 0 <= row < height and 0 <= column < width:
                        out[:, y, x] += by_y * by_x * feature[:, row, column]
    return out


def depthwise(x: Array, layer: torch.nn.Conv2d) -> Array:
    _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    kernel, bias = (t.detach().double().numpy() for t in (layer.weight, layer.bias))
    taps = [
        kernel[:, 0, dy, dx, None, None] * padded[:, dy : dy + height, dx : dx + width]
        for dy in range(3)
        for dx in range(3)
    ]
    return sum(taps) + bias[:, None, None]


def published_creff(low: Array, reference: Array, fusion: torch.nn.Module) -> Array:
    """Scores of the 49 neighbours, 0 outside the frame and in the softmax all the same."""
    _, height, width = reference.shape
    low = between_aligned_corners(low, (height, width))
    query = depthwise(low, fusion.query)
    around = [(dy, dx) for dy in range(7) for dx in range(7)]
    key, value = (
        [
            np.pad(depthwise(reference, layer), ((0, 0), (3, 3), (3, 3)))[
                :, dy : dy + height, dx : dx + width
            ]
            for dy, dx in around
        ]
        for layer in (fusion.key, fusion.value)
    )
    scores = np.stack([(query * k).sum(0) for k in key])
    weight = np.exp(scores - scores.max(0))
    weight /= weight.sum(0)
    return low + sum(w * v for w, v in zip(weight, value, strict=True))


def create(text: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = registry.create("methods", parse_variant(text), classes=5)
    for layer in (model.fusion.query, model.fusion.key, model.fusion.value):
        torch.nn.init.normal_(layer.bias, std=0.1)
    return model.eval()


def published_logits(model: torch.nn.Module, image, field: Array, reference: Array) -> Array:
    """EvalAlterRes of evaluation.py, after its keyframe: (classes, H, W)."""
    size = (image.shape[-2], image.shape[-1])
    warped = published_warp(reference, published_motion(field, reference.shape[-2:], False))
    normalised = model.normalise(image)[0].double().numpy()
    small = between_aligned_corners(normalised, (int(size[0] * 0.5), int(size[1] * 0.5)))
    low, _ = model.low.features(torch.from_numpy(small).float()[None])
    fused = published_creff(low[0].double().numpy(), warped, model.fusion)
    final = model.high.final
    logits = np.einsum("oc,chw->ohw", final.weight.detach().double().numpy()[..., 0, 0], fused)
    if final.bias is not None:
        logits += final.bias.detach().double().numpy()[:, None, None]
    if model.backbone == "bise18":  # out_upsample: corners not aligned
        logits = torch.nn.functional.interpolate(
            torch.from_numpy(logits)[None], scale_factor=8, mode="bilinear", align_corners=False
        )[0].numpy()
    return between_aligned_corners(logits, size)


def group_of_pictures() -> tuple[list[BlockVectors], NDArray[np.float32]]:
    """Pictures after a keyframe, and our own field of the last one by AR-Seg's settings."""
    rng = np.random.default_rng(3)
    pictures = [block_vectors(rng, index) for index in range(1, FRAMES)]
    fields = {0: np.zeros((HEIGHT // CELL, WIDTH // CELL, 2), np.float32)}
    for index, picture in enumerate(pictures, 1):
        fields[index] = compose(settle(index, picture, "zero"), fields, CELL, whole_pixels=True)
    return pictures, dense(fields[FRAMES - 1], CELL, HEIGHT, WIDTH)


def published_field_of_steps(steps: dict[int, Step]) -> Array:
    """The last picture's field (H, W, 2) as :func:`published_field` has it, of one vector a cell
    into whichever pictures: those that another refers to are followed first."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ends = {0: np.stack([x, y], -1)}
    while len(ends) <= len(steps):
        index = next(
            each for each, step in steps.items()
            if each not in ends and set(np.unique(step.references).tolist()) <= ends.keys()
        )  # fmt: skip
        vectors = np.round(dense(steps[index].vectors, CELL, HEIGHT, WIDTH)).astype(int)
        references = dense(steps[index].references, CELL, HEIGHT, WIDTH)
        to_x = np.clip(x + vectors[..., 0], 0, WIDTH - 1)
        to_y = np.clip(y + vectors[..., 1], 0, HEIGHT - 1)
        ends[index] = np.zeros((HEIGHT, WIDTH, 2), int)
        for name in np.unique(references).tolist():
            chosen = references == name
            ends[index][chosen] = ends[name][to_y, to_x][chosen]
    return (ends[max(ends)] - ends[0]).astype(np.float64)


@torch.no_grad()
@pytest.mark.parametrize("options", ["", ",bframes=2,refs=3"])
def test_a_real_stream_gives_nearly_the_published_logits(options, provable):
    """From an HEVC stream of a drawn street, with blocks of all sizes, and with B-pictures, of
    which the vector into the nearer picture counts. Authors keep a vector a pixel, ours a cell of
    4: one step is the same, and what follows differs at the edges of what moves."""
    provable("hevc")
    street = f"synthetic[height={HEIGHT},width={WIDTH},clips=1,frames={FRAMES + 1}]"
    (clip,) = open_dataset(parse_variant(street), None).scored_clips
    text = f"hevc[gop=6,bitrate=300k,cell={CELL},fill=zero,whole_pixels=true{options}]"
    frames = list(registry.create("codecs", parse_variant(text)).frames(clip))
    steps = {each.index: settle(each.index, each.motion.blocks, "zero") for each in frames[1:]}
    kinds = {each.picture_type for each in frames}
    assert kinds == ({"I", "P", "B"} if options else {"I", "P"})
    sizes = [len(np.unique(step.vectors.reshape(-1, 2), axis=0)) for step in steps.values()]
    assert max(sizes) > 8  # not one vector for all
    for last in (1, FRAMES):
        if last == 1 and options:  # a B-picture, which refers to later ones
            continue
        ours = frames[last].motion.dense()
        field = published_field_of_steps({k: v for k, v in steps.items() if k <= last})
        apart = np.abs(ours - field).max(-1)
        if last == 1:
            assert not apart.any()
    assert np.abs(field).max() > 8
    assert apart.mean() < 0.25 * np.linalg.norm(field, axis=-1).mean()
    model = create("arseg[backbone=bise18,width=0.125,warp=paper]")
    key, image = (
        torch.from_numpy(frames[at].image.copy()).permute(2, 0, 1)[None].float() / 255
        for at in (0, FRAMES)
    )
    _, reference = model.keyframe(key)
    logits = model.nonkeyframe(image, torch.from_numpy(ours).permute(2, 0, 1)[None], reference)
    if logits.shape[-2:] != image.shape[-2:]:
        logits = torch.from_numpy(between_aligned_corners(logits.double().numpy(), (HEIGHT, WIDTH)))
    feature = reference[0].double().numpy()
    expected = published_logits(model, image, field, feature)
    still = published_logits(model, image, np.zeros_like(field), feature)
    assert np.abs(logits[0].numpy() - expected).mean() < 0.45 * np.abs(still - expected).mean()
    assert (logits[0].numpy().argmax(0) == expected.argmax(0)).mean() > 0.98


@torch.no_grad()
@pytest.mark.parametrize(
    "text",
    [
        "arseg[backbone=bise18,width=0.125,warp=paper]",  # both styles at stride 8
        "arseg[style=semseg,width=0.125,warp=paper]",
        "arseg[width=0.125,warp=paper]",  # at full resolution
    ],
)
@pytest.mark.parametrize("compiled", [True, False])
def test_logits_from_block_vectors_are_those_of_the_published_steps(text, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(native, "library", lambda: None)
    pictures, ours = group_of_pictures()
    field = published_field(pictures)
    assert np.array_equal(ours, field)
    assert np.abs(field).max() > 8
    model = create(text)
    image = torch.rand(1, 3, HEIGHT, WIDTH)
    _, reference = model.keyframe(torch.rand(1, 3, HEIGHT, WIDTH))
    reference = torch.randn_like(reference)
    motion = torch.from_numpy(ours).permute(2, 0, 1)[None]
    logits = model.nonkeyframe(image, motion, reference)
    if logits.shape[-2:] != image.shape[-2:]:
        logits = torch.from_numpy(between_aligned_corners(logits.double().numpy(), (HEIGHT, WIDTH)))
    expected = published_logits(model, image, field, reference[0].double().numpy())
    apart = np.abs(logits[0].numpy() - expected).max() / np.abs(expected).max()
    assert apart < 1e-4


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [(12, 17), (13, 16), (1, 1), (HEIGHT, WIDTH)])
def test_the_field_is_resized_as_published(training, size):
    """At evaluation between aligned corners, in training the nearest; proportions may differ."""
    field = np.random.default_rng(1).normal(0, 9, (HEIGHT, WIDTH, 2))
    given = torch.from_numpy(field).permute(2, 0, 1)[None]
    expected = published_motion(field, size, training)
    assert np.allclose(resize_motion_paper(given, size, training)[0].numpy(), expected)


@torch.no_grad()
def test_training_takes_the_nearest_vectors():
    model = create("arseg[backbone=bise18,width=0.125,warp=paper]")
    field = np.random.default_rng(1).normal(0, 9, (HEIGHT, WIDTH, 2))
    motion = torch.from_numpy(field).float().permute(2, 0, 1)[None]
    channels = model.high.feature_channels
    low, reference = torch.randn(1, channels, 6, 9), torch.randn(1, channels, 12, 17)
    for training in (True, False):
        model.train(training)
        moved = published_warp(
            reference[0].double().numpy(), published_motion(field, (12, 17), training)
        )
        expected = published_creff(low[0].double().numpy(), moved, model.fusion)
        fused = model.fuse(low, motion, reference)[0].numpy()
        assert np.abs(fused - expected).max() < 1e-4 * np.abs(expected).max()


def test_the_published_warp_keeps_its_places_in_half_precision():
    """A place in bfloat16 has 8 bits: whole pixels off in a wide feature."""
    torch.manual_seed(0)
    feature, motion = torch.randn(1, 2, 9, 700), torch.randn(1, 2, 9, 700) * 3
    exact = warp(feature, motion, "paper")
    half = warp(feature.bfloat16(), motion, "paper")
    assert half.dtype == torch.bfloat16
    assert (half - exact).abs().max() < 0.05


def test_the_published_warp_takes_features_of_one_row():
    feature, motion = torch.randn(1, 2, 1, 6), torch.randn(1, 2, 1, 6)
    expected = published_warp(feature[0].double().numpy(), motion[0].double().numpy())
    assert np.allclose(warp(feature, motion, "paper")[0].numpy(), expected, atol=1e-5)
