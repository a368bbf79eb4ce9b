"""The baselines that do no work after the keyframe, and the weights that they borrow."""

import pytest
import torch

from vssbench.core import registry
from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.variant import parse_variant
from vssbench.cost.gmacs import count, meta_model
from vssbench.fast.prepare import prepare
from vssbench.latency.measure import subject_of
from vssbench.weights.file import open_weights
from vssbench.weights.network import check_fit, fitting, load_into
from vssbench.weights.shipped import choose_shipped, closest
from vssbench.weights.writing import save_weights


def create(text, classes=4):
    torch.manual_seed(0)
    return registry.create("methods", parse_variant(text), classes=classes).eval()


def test_copy_repeats_the_keyframe():
    model = create("copy[width=0.125]")
    with torch.no_grad():
        logits, reference = model.keyframe(torch.rand(1, 3, 32, 48))
        assert torch.equal(model.nonkeyframe(torch.rand(1, 3, 32, 48), None, reference), logits)


def test_warp_looks_up_the_nearest_label():
    """Every pixel by hand: rounded position, clamped to the picture."""
    model = create("warp[width=0.125]")
    reference = torch.randint(0, 4, (1, 5, 7))
    motion = torch.randn(1, 2, 5, 7, generator=torch.Generator().manual_seed(0)) * 3
    labels = model.nonkeyframe(torch.rand(1, 3, 5, 7), motion, reference)[0].argmax(0)
    for y in range(5):
        for x in range(7):
            row = min(max(round(y + float(motion[0, 1, y, x])), 0), 4)
            column = min(max(round(x + float(motion[0, 0, y, x])), 0), 6)
            assert labels[y, x] == reference[0, row, column]


def test_they_cost_nothing_after_the_keyframe():
    for name in ("copy", "warp"):
        cost = count(parse_variant(name), 12, 96, 128)
        assert cost.gmacs_nonkey == 0
        assert cost.gmacs_key == count(parse_variant("pspnet"), 12, 96, 128).gmacs_key


def test_they_run_on_the_weights_of_their_network(tmp_path):
    pspnet = create("pspnet[width=0.125]")
    path = tmp_path / "w.safetensors"
    save_weights(path, pspnet, parse_variant("pspnet[width=0.125]"), tuple("abcd"), "none", {})
    file = open_weights(path)
    assert str(fitting(parse_variant("warp"), file)) == "warp[width=0.125]"
    check_fit(parse_variant("warp[width=0.125]"), tuple("abcd"), file)
    with pytest.raises(WeightsError, match="holds weights of"):
        check_fit(parse_variant("copy[network=bisenet,width=0.125]"), tuple("abcd"), file)
    with pytest.raises(WeightsError, match=r"width=0\.125, and warp has width=1"):
        check_fit(parse_variant("warp"), tuple("abcd"), file)


def test_shipped_weights_serve_them_too():
    dataset = registry.create("datasets", parse_variant("synthetic"))
    for name, network in (("copy", "pspnet"), ("warp[network=bisenet]", "bisenet")):
        variant, file = choose_shipped(parse_variant(name), "synthetic", tuple(dataset.classes))
        assert file.variant.name == network
        assert variant.params["width"] == 0.25


def test_wrong_parameters_are_refused_in_words():
    with pytest.raises(
        UsageError,
        match=r"copy: unknown network 'unet'; expected a per-frame method, .*bisenet, .*pspnet",
    ):
        create("copy[network=unet]")
    with pytest.raises(UsageError, match="unknown network 'arseg'; expected a per-frame method"):
        create("copy[network=arseg]")
    with pytest.raises(UsageError, match="scale is given twice, in network="):
        create("copy[network=pspnet[scale=0.5],scale=0.25]")
    with pytest.raises(UsageError, match="leave them out with network=bisenet"):
        create("warp[network=bisenet,layers=50]")


PER_FRAME = [
    "pspnet[width=0.125]",
    "pspnet[layers=50,style=semseg,width=0.125]",
    "bisenet[width=0.25]",
    "bisenet[form=torchseg,backbone=xception39,width=0.125]",
    "icnet[form=mmseg,backbone=resnet18,width=0.125]",
    "dsrl[base=pspnet18,width=0.125]",
]


@torch.no_grad()
@pytest.mark.parametrize("text", PER_FRAME)
@pytest.mark.parametrize("baseline", ["copy", "warp"])
def test_any_per_frame_method_segments_keyframes(baseline, text, tmp_path):
    """With the weights of a file of that method the labels are those that it gives, in the fast
    form too, and the file settles what was left open."""
    network = create(text)
    path = tmp_path / "w.safetensors"
    save_weights(path, network, parse_variant(text), tuple("abcd"), "none", {})
    name = parse_variant(text).name
    variant = fitting(parse_variant(f"{baseline}[network={name}]"), open_weights(path))
    again = registry.create("methods", parse_variant(str(variant)), classes=4).eval()
    load_into(again, variant, tuple("abcd"), open_weights(path))
    load_into(network, parse_variant(text), tuple("abcd"), open_weights(path))
    image = torch.rand(1, 3, 64, 96)
    expected = network.begin(image)[0].argmax(1)
    assert torch.equal(again.begin(image)[0].argmax(1), expected)
    _, reference = prepare(again).begin(image)
    followed = again.follow(image, torch.zeros(1, 2, 64, 96), reference).argmax(1)
    assert float((followed == expected).float().mean()) > 0.999
    assert again.display == f"{again.title} {network.display}"
    assert count(variant, 4, 64, 96).gmacs_key == count(parse_variant(text), 4, 64, 96).gmacs_key


def test_parameters_of_another_network_are_held_against_its_file(tmp_path):
    text = "icnet[form=mmseg,backbone=resnet18,width=0.125]"
    path = tmp_path / "w.safetensors"
    save_weights(path, create(text), parse_variant(text), tuple("abcd"), "none", {})
    file = open_weights(path)
    asked = parse_variant("copy[network=icnet[form=liminn,backbone=resnet18],width=0.125]")
    with pytest.raises(WeightsError, match=r"form=mmseg, and .* has form=liminn"):
        check_fit(asked, tuple("abcd"), file)
    settled = "copy[network=icnet[backbone=resnet18,form=mmseg],width=0.125]"
    assert fitting(parse_variant("copy[network=icnet]"), file) == fitting(
        parse_variant(settled), file
    )


def test_display_names_are_what_they_were():
    for text, name in (
        ("copy", "Copy PSPNet18"),
        ("copy[scale=0.5,width=0.25]", "Copy PSPNet18 0.5x (width 0.25)"),
        ("warp[style=semseg,layers=50]", "Warp PSPNet50 (semseg)"),
        ("warp[network=bisenet,width=0.25]", "Warp BiSeNet18 (width 0.25)"),
    ):
        assert meta_model(parse_variant(text), 4).display == name


def test_of_two_files_the_one_with_the_datasets_classes_is_chosen(tmp_path):
    """Whichever is given first, and though the other's parameters are nearer."""
    files = []
    for text, classes in (("pspnet[width=0.125]", "abcd"), ("pspnet[width=0.25]", "abcdef")):
        path = tmp_path / f"{len(classes)}.safetensors"
        model = create(text, len(classes))
        save_weights(path, model, parse_variant(text), tuple(classes), "none", {})
        files.append(open_weights(path))
    for given in (files, files[::-1]):
        for text in ("pspnet[width=0.125]", "warp[width=0.125]"):
            assert closest(parse_variant(text), given, 4) is files[0]
            assert closest(parse_variant(text), given, 6) is files[1]
        assert closest(parse_variant("icnet"), given, 4) is None
        paths = [file.path for file in given]
        assert subject_of("pspnet[width=0.25]", 6, paths).weights == files[1].path
