"""Folders in the layout of every dataset, with a few small frames each."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image as Pillow

#: width and height of most fakes
SIZE = (96, 64)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(path)
    return path


def scene(number: int, size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    """Frame ``number`` of a drive past random blocks: neighbours are alike, and no two are
    equal."""
    width, height = size
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (height // 8 + 1, width // 8 + 100, 3), np.uint8)
    canvas = np.repeat(np.repeat(blocks, 8, 0), 8, 1)
    return np.ascontiguousarray(canvas[:height, 3 * number : 3 * number + width])


def mask(values: Sequence[int], seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Random labels of some values."""
    return np.random.default_rng(seed).choice(np.array(values, np.uint8), (size[1], size[0]))


def video(path: Path, images: Sequence[np.ndarray], codec: str, **options: int) -> Path:
    """A video file of images; ``options`` are attributes of the encoder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    with av.open(str(path), "w", format={".mxf": "mxf", ".avi": "avi"}.get(suffix)) as container:
        stream = container.add_stream(codec, rate=Fraction(25))
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = {"mpeg2video": "yuv422p", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        for name, value in options.items():
            setattr(stream.codec_context, name, value)
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


def damaged(path: Path) -> Path:
    """An H.264 file of 30 pictures, two thirds of a slice in its middle lost."""
    video(path, [scene(number) for number in range(30)], "libx264",
                gop_size=10, bit_rate=4_000_000)  # fmt: skip
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content = path.read_bytes()
    slice_ = packets[15]
    wrong = slice_[: len(slice_) // 3] + bytes(len(slice_) - len(slice_) // 3)
    assert content.count(slice_) == 1
    path.write_bytes(content.replace(slice_, wrong))
    return path


def mxf(path: Path, images: Sequence[np.ndarray]) -> Path:
    """Intra-coded MPEG-2 in MXF, as cameras write it."""
    return video(path, images, "mpeg2video", gop_size=1, bit_rate=20_000_000)


def avi(path: Path, images: Sequence[np.ndarray]) -> Path:
    """Motion JPEG in AVI."""
    return video(path, images, "mjpeg", bit_rate=20_000_000)


def cityscapes(root: Path, full: bool = True) -> Path:
    """Two val snippets, one with its 30 frames (or seven), one a still; one train still."""
    for split, name, seed in (
        ("val", "lindau_000003_000019", 1),
        ("val", "bonn_000001_000119", 2),
        ("train", "ulm_000000_000019", 3),
    ):
        city = name.split("_")[0]
        save(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", scene(19, seed=seed))
        labels = mask(range(34), seed)
        save(root / "gtFine" / split / city / f"{name}_gtFine_labelIds.png", labels)
    for number in range(30) if full else range(15, 22):
        name = f"lindau_000003_{number:06d}_leftImg8bit.png"
        save(root / "leftImg8bit_sequence" / "val" / "lindau" / name, scene(number, seed=1))
    return root


def camvid(root: Path) -> Path:
    """SegNet's layout: four frames of the val clip, three train and three test stills."""
    frames = {
        "train": ["0001TP_006690", "0006R0_f00930", "0016E5_00390"],
        "val": ["0016E5_07959", "0016E5_07961", "0016E5_07963", "0016E5_07965"],
        "test": ["Seq05VD_f00000", "Seq05VD_f00030", "0001TP_008550"],
    }
    seed = 0
    for split, names in frames.items():
        for name in names:
            seed += 1
            save(root / split / f"{name}.png", scene(seed))
            save(root / f"{split}annot" / f"{name}.png", mask(range(12), seed))
        lines = [f"{split}/{name}.png {split}annot/{name}.png\n" for name in names]
        (root / f"{split}.txt").write_text("".join(lines))
    return root


def arseg_camvid(root: Path, distances: Sequence[int] = (0, 1, 3), gop: int = 4) -> Path:
    """AR-Seg's processed CamVid: two test frames at some distances of a GOP of 4."""
    base = root / f"3M-GOP{gop}"
    # a still's name, and the number of its frame in the video file, counted from 1
    # (scene_length_info)
    frames = {"0001TP_008550": ("0001TP", 1891), "Seq05VD_f00030": ("Seq05VD", 32)}
    for distance in distances:
        decoded = base / f"decoded_GOP{gop}_dist_{distance}"
        for seed, (name, (sequence, number)) in enumerate(frames.items()):
            save(decoded / "test" / f"{name}.png", scene(20 + distance, seed=seed))
            save(
                decoded / "test_labels_with_ignored" / f"{name}_L.png",
                mask([*range(12), 255], seed),
            )
            if distance:
                keyframe = base / "frames" / sequence / f"{sequence}_{number - distance:06d}.png"
                save(keyframe, scene(20 - distance, seed=seed))
                path = base / f"MVmap_GOP{gop}_dist_{distance}" / sequence / f"{name}.bin"
                path.parent.mkdir(parents=True, exist_ok=True)
                vectors(seed + distance).tofile(path)
    return root


def vectors(seed: int) -> np.ndarray:
    """Motion in quarter pixels, int16 (H, W, 2), that stays within the frame."""
    rng = np.random.default_rng(seed)
    width, height = SIZE
    x, y = rng.integers(0, width, (height, width)), rng.integers(0, height, (height, width))
    return np.stack([4 * (x - np.arange(width)), 4 * (y - np.arange(height)[:, None])], -1).astype(
        "<i2"
    )


def arseg_cityscapes(root: Path) -> Path:
    """AR-Seg's processed Cityscapes: one val frame at distances 0 and 2 of a GOP of 12."""
    base, name = root / "leftImg8bit_sequence" / "5M-GOP12", "bonn_000001_000119"
    save(root / "gtFine" / "val" / "bonn" / f"{name}_gtFine_labelIds.png", mask(range(34), 5))
    for distance in (0, 2):
        image = f"{name}_gtFine_leftImg8bit"
        save(
            base
            / f"decoded_GOP12_dist_{distance}"
            / "leftImg8bit"
            / "val"
            / "bonn"
            / f"{image}.png",
            scene(20 + distance),
        )
    save(base / "frames" / "val" / "bonn" / "bonn_000001_000117_leftImg8bit.png", scene(20))
    path = base / "MVmap_GOP12_dist_2" / "val" / "bonn" / f"{image}.bin"
    path.parent.mkdir(parents=True)
    vectors(1).tofile(path)
    return base.parent


def vspw(root: Path, frames: int = 18) -> Path:
    """VSPW_480p: two val videos, one of ``frames`` frames, one of four and of another width; one
    train video. Masks hold a few of the 124 classes, others and void, and change at their middle
    alone."""
    base = root / "VSPW_480p"
    base.mkdir(parents=True)
    (base / "val.txt").write_text("1_wHveSGjXyDY\n3__7p1azZy2gA\n")
    (base / "train.txt").write_text("0_0wqT_s\n")
    for name, first, count, size in (
        ("1_wHveSGjXyDY", 166, frames, SIZE),
        ("3__7p1azZy2gA", 12, 4, (64, 64)),
        ("0_0wqT_s", 1, 3, SIZE),
    ):
        still = np.sort(mask([0, 1, 2, 29, 124, 255], first, size), 1)
        for number in range(first, first + count):
            picture = scene(number - first, size, seed=first)
            path = base / "data" / name / "origin" / f"{number:08d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Pillow.fromarray(picture).save(path, quality=95)
            labels = still.copy()
            labels[:, size[0] // 2] = 1 + number % 7
            save(base / "data" / name / "mask" / f"{number:08d}.png", labels)
    return base


def folder(root: Path) -> Path:
    """One's own: a clip of frames with two masks, a clip of a video file with one."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "classes.txt").write_text(
        "road, 128, 64, 128\ncar, 0, 0, 142  # any\n-\nsky\nignore: 9, 200\n"
    )
    for number in range(10, 16):
        save(root / "drive" / "frames" / f"shot_{number:04d}.png", scene(number))
    for number in (12, 15):
        save(root / "drive" / "labels" / f"{number}.png", mask([0, 1, 2, 3, 9, 255], number))
    video(
        root / "film" / "film.mp4",
        [scene(number, seed=4) for number in range(12)],
        "libx264",
        gop_size=5,
    )
    save(root / "film" / "labels" / "mask-7.png", mask([0, 1, 3], 7))
    (root / "train.txt").write_text("drive\n")
    return root
