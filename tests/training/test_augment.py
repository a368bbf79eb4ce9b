"""Augmentation against obvious re-statements, and the geometry of the made-up ego-motion."""

import numpy as np
import pytest
from PIL import Image as Pillow

from vssbench.core.errors import UsageError
from vssbench.training.augment import (
    Augmentation,
    Colour,
    EgoMotion,
    Window,
    augment_still,
    compress,
    rotate,
)


def smooth_image(height=96, width=128):
    """A picture that bilinear resampling reproduces well: sums of slow waves."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + 1) + np.cos(y / 7), np.sin((x + y) / 11), np.cos((x - 2 * y) / 13)]
    return np.stack([np.clip(128 + 50 * wave, 0, 255) for wave in waves], -1).astype(np.uint8)


def test_the_whole_window_is_the_image():
    image = smooth_image()
    assert np.array_equal(Window((0, 0, 128, 96), (96, 128), False).image(image), image)
    assert np.array_equal(Window((0, 0, 128, 96), (96, 128), True).image(image), image[:, ::-1])


def test_image_label_and_motion_are_cut_alike():
    image = smooth_image()
    label = (np.indices((96, 128)).sum(0) // 16 % 5).astype(np.uint8)
    motion = np.stack(np.meshgrid(np.arange(128.0), np.arange(96.0)), -1).astype(np.float32)
    window = Window((32, 24, 96, 72), (48, 64), False)  # no change of scale
    assert np.array_equal(window.image(image), image[24:72, 32:96])
    assert np.array_equal(window.label(label), label[24:72, 32:96])
    assert np.array_equal(window.motion(motion), motion[24:72, 32:96])
    flipped = Window((32, 24, 96, 72), (48, 64), True).motion(motion)
    assert np.array_equal(flipped[..., 0], -motion[24:72, 32:96, 0][:, ::-1])
    assert np.array_equal(flipped[..., 1], motion[24:72, 32:96, 1][:, ::-1])
    doubled = Window((32, 24, 64, 48), (48, 64), False).motion(np.full((96, 128, 2), 3, np.float32))
    # pixels of the window, twice as fine
    assert np.array_equal(doubled, np.full((48, 64, 2), 6, np.float32))


def test_windows_lie_inside_and_have_the_crops_size():
    augmentation = Augmentation(crop=(48, 64))
    for seed in range(50):
        window = augmentation.window(96, 128, np.random.default_rng(seed))
        left, top, right, bottom = window.box
        assert 0 <= left < right <= 128
        assert 0 <= top < bottom <= 96
        assert window.image(smooth_image()).shape == (48, 64, 3)


def test_a_crop_too_large_is_refused_in_words():
    with pytest.raises(UsageError, match="choose a smaller --crop"):
        Augmentation(crop=(480, 640)).window(96, 128, np.random.default_rng(0))


def test_scales_are_drawn_as_asked():
    def zooms(**options):
        augmentation = Augmentation(crop=(48, 64), **options)
        windows = [augmentation.window(96, 128, np.random.default_rng(seed)) for seed in range(300)]
        return np.array([64 / (window.box[2] - window.box[0]) for window in windows])

    assert set(np.round(zooms(scales=(0.5, 1.0, 2.0), scale_draw="list"), 6)) == {0.5, 1.0, 2.0}
    even, log = zooms(scales=(0.5, 2.0), scale_draw="uniform"), zooms(scales=(0.5, 2.0))
    assert np.mean(even) == pytest.approx(1.25, abs=0.08)
    assert np.mean(np.log(log)) == pytest.approx(0, abs=0.08)
    # smaller would not cover the crop
    assert zooms(scales=(0.25, 2.0), scale_draw="uniform").min() == 0.5
    with pytest.raises(ValueError, match="scales are the two ends"):
        Augmentation(scales=(1.0,))


def test_what_the_zoom_leaves_too_small_is_padded_on_all_sides():
    augmentation = Augmentation((96, 128), (0.5,), 0, 0, flip=0, scale_draw="list", small="pad")
    window = augmentation.window(96, 128, np.random.default_rng(0))
    assert window.box == (-64, -48, 192, 144)
    image, label = (
        window.image(np.full((96, 128, 3), 7, np.uint8)),
        window.label(np.ones((96, 128), np.uint8)),
    )
    inside = np.zeros((96, 128), bool)
    inside[24:72, 32:96] = True
    assert np.array_equal(label, np.where(inside, 1, 255))
    assert (image[26:70, 34:94] == 7).all()
    assert (image[:22] == image[0, 0]).all()
    assert image[0, 0, 0] == 116


def test_rotation_turns_image_and_label_alike():
    image = np.zeros((81, 81, 3), np.uint8)
    image[10:20, 38:43] = 200
    label = (image[..., 0] > 0).astype(np.uint8)
    # counter-clockwise: what stood at the top stands at the left
    turned, classes = rotate(image, label, 90)
    assert (turned[38:43, 11:19] > 150).all()
    assert (classes[38:43, 11:19] == 1).all()
    tilted, classes = rotate(image, label, 30)
    assert classes[0, 0] == 255
    assert tilted[0, 0, 0] == 116


def test_rotation_and_blur_of_stills():
    image, label = smooth_image(), np.zeros((96, 128), np.uint8)
    turning = Augmentation((96, 128), (1, 1), 0, 0, flip=0, rotation=10)
    ignored = [
        (augment_still(image, label, turning, np.random.default_rng(seed))[1] == 255).any()
        for seed in range(100)
    ]
    assert np.mean(ignored) == pytest.approx(0.5, abs=0.15)
    noise = np.random.default_rng(0).integers(0, 255, image.shape).astype(np.uint8)
    blurring = Augmentation((96, 128), (1, 1), 0, 0, flip=0, blur=1)
    assert (
        augment_still(noise, label, blurring, np.random.default_rng(1))[0].std() < 0.9 * noise.std()
    )


def test_equal_seeds_give_equal_samples():
    image, label = smooth_image(), np.zeros((96, 128), np.uint8)
    draws = [
        augment_still(image, label, Augmentation(crop=(48, 64)), np.random.default_rng([1, 2, 3]))
        for _ in range(2)
    ]
    assert np.array_equal(draws[0][0], draws[1][0])
    other, _ = augment_still(
        image, label, Augmentation(crop=(48, 64)), np.random.default_rng([1, 2, 4])
    )
    assert not np.array_equal(draws[0][0], other)


def test_colour_factors_of_one_change_nothing():
    image = smooth_image()
    assert np.abs(Colour(1, 1, 1).apply(image).astype(int) - image).max() <= 1
    assert Colour(1, 1, 0).apply(image).std(-1).max() < 1  # without saturation it is gray


def test_compression_harms_more_at_low_quality():
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    errors = [np.abs(compress(image, quality).astype(int) - image).mean() for quality in (10, 90)]
    assert errors[0] > errors[1] > 0


@pytest.mark.parametrize(
    "motion",
    [
        EgoMotion(1.0, (6.0, -3.0), 0.0, (64.0, 48.0), 2),
        EgoMotion(0.85, (0.0, 0.0), 0.0, (60.0, 40.0), 3),
        EgoMotion(1.0, (0.0, 0.0), 0.05, (64.0, 48.0), 1),
        EgoMotion(0.9, (3.0, 2.0), -0.03, (70.0, 45.0), 4),
    ],
)
def test_flow_leads_from_the_still_to_the_keyframe(motion):
    """still(p) = keyframe(p + flow(p)): sampled by hand, bilinearly, away from the border."""
    still = smooth_image()
    frames = motion.sequence(still)
    assert len(frames) == motion.frames + 1
    assert np.array_equal(frames[-1], still)
    flow = motion.flow(96, 128)
    keyframe = frames[0].astype(float)
    errors, unmoved = [], []
    for y in range(24, 72, 5):
        for x in range(32, 96, 5):
            sx, sy = x + flow[y, x, 0], y + flow[y, x, 1]
            x0, y0 = int(np.floor(sx)), int(np.floor(sy))
            fx, fy = sx - x0, sy - y0
            patch = keyframe[y0 : y0 + 2, x0 : x0 + 2]
            sampled = (1 - fy) * ((1 - fx) * patch[0, 0] + fx * patch[0, 1]) + fy * (
                (1 - fx) * patch[1, 0] + fx * patch[1, 1]
            )
            errors.append(np.abs(sampled - still[y, x]).mean())
            unmoved.append(np.abs(keyframe[y, x] - still[y, x]).mean())
    assert np.mean(errors) < 2
    assert np.mean(errors) < 0.5 * np.mean(unmoved)


def test_a_window_reads_only_the_pixels_around_its_box():
    """The window of a large image is that of the part which its filter reaches, wherever it lies
    and however it is scaled."""
    noise = np.random.default_rng(0).integers(0, 255, (360, 480, 3)).astype(np.uint8)
    for seed in range(60):
        augmentation = Augmentation((60, 80), (0.2, 3.0), flip=0)
        window = augmentation.window(360, 480, np.random.default_rng(seed))
        whole = Pillow.fromarray(noise).resize((80, 60), Pillow.Resampling.BILINEAR, box=window.box)
        assert np.abs(window.image(noise).astype(int) - np.asarray(whole)).max() <= 1
        labels = noise[..., 0]
        nearest = Pillow.fromarray(labels).resize(
            (80, 60), Pillow.Resampling.NEAREST, box=window.box
        )
        assert np.array_equal(window.label(labels), np.asarray(nearest))


def test_colour_is_brightness_then_contrast_then_saturation():
    image = smooth_image()
    for seed in range(20):
        colour = Colour.draw(0.4, np.random.default_rng(seed))
        pixels = image.astype(float) * colour.brightness
        pixels = pixels.mean() + (pixels - pixels.mean()) * colour.contrast
        gray = (pixels @ [0.299, 0.587, 0.114])[..., None]
        pixels = np.clip(gray + (pixels - gray) * colour.saturation, 0, 255)
        assert np.abs(colour.apply(image) - pixels).max() <= 0.51
