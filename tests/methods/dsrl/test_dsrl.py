"""DSRL: what its parts cost, what its loss is, and that every part learns."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.segmenter import Batch
from vssbench.core.variant import parse_variant
from vssbench.cost.gmacs import count, meta_model
from vssbench.methods.dsrl.network import BASES, feature_affinity

CLASSES = 5
OFF = "sssr=off,sisr=off,fa=off"


def create(text: str):
    torch.manual_seed(0)
    return registry.create("methods", parse_variant(text), classes=CLASSES)


def batch(size=(64, 96), seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, CLASSES, (2, *size), generator=generator)
    return Batch(torch.rand(2, 3, *size, generator=generator), label, torch.ones(CLASSES))


def deconvolutions(classes: int, stride: int, height: int, width: int) -> float:
    """GMACs of SSSR: nine taps between all pairs of channels at each input pixel of every
    enlargement."""
    total = 0
    while stride >= 1:
        total += 9 * classes**2 * (height // 2 // stride) * (width // 2 // stride)
        stride //= 2
    return total / 1e9


@pytest.mark.parametrize("base", BASES)
def test_inference_costs_the_baseline_and_the_upsampling(base):
    dsrl = count(parse_variant(f"dsrl[base={base}]"), 19, 512, 1024)
    baseline = count(parse_variant(f"dsrl[base={base},{OFF}]"), 19, 512, 1024)
    stride = {"espnetv2": 2, "deeplabv3plus101": 4}.get(base, 8)
    steps = {2: 2, 4: 3, 8: 4}[stride]
    assert dsrl.gmacs_key - baseline.gmacs_key == pytest.approx(
        deconvolutions(19, stride, 512, 1024), rel=1e-6
    )
    # of each deconvolution its weights, its batch normalisation and its activation
    assert dsrl.params - baseline.params == steps * (9 * 19**2 + 3 * 19)


@pytest.mark.parametrize(
    ("base", "network"),
    [
        ("pspnet18", "pspnet[style=semseg,scale=0.5]"),
        ("pspnet50", "pspnet[style=semseg,layers=50,scale=0.5]"),
        ("bisenet", "bisenet[scale=0.5]"),
    ],
)
def test_the_baseline_is_the_per_frame_method_at_half_resolution(base, network):
    assert count(parse_variant(f"dsrl[base={base},{OFF}]"), 19, 512, 1024) == count(
        parse_variant(network), 19, 512, 1024
    )


def test_published_cost_of_espnetv2():
    """674.46 MMACs at 256x512 (published as 674.78, with biases); SSSR's two deconvolutions add 590
    that are left out there."""
    baseline = count(parse_variant(f"dsrl[{OFF}]"), 20, 512, 1024)
    assert baseline.gmacs_key == pytest.approx(0.674456554, abs=1e-9)
    assert baseline.params == 788_762
    whole = count(parse_variant("dsrl"), 20, 512, 1024)
    assert whole.gmacs_key - baseline.gmacs_key == pytest.approx(
        9 * 20**2 * (128 * 256 + 256 * 512) / 1e9, rel=1e-9
    )


def test_sisr_and_feature_affinity_cost_nothing_at_inference():
    whole = count(parse_variant("dsrl"), 19, 512, 1024)
    assert whole == count(parse_variant("dsrl[sisr=off,fa=off]"), 19, 512, 1024)
    assert whole == count(parse_variant("dsrl[fa=off]"), 19, 512, 1024)
    model = meta_model(parse_variant("dsrl"), 19)
    assert sum(p.numel() for p in model.parameters()) > whole.params


@pytest.mark.parametrize(
    ("size", "infer", "train"), [((720, 960), 59.25, 81.26), ((1024, 2048), 177.22, 244.01)]
)
def test_dootmaans_form_has_its_size_and_cost(size, infer, train):
    variant = parse_variant("dsrl[base=deeplabv3plus101,form=dootmaan]")
    cost = count(variant, 19, *size)
    assert cost.params == 59_343_795
    assert cost.gmacs_key == pytest.approx(infer, abs=0.005)
    model = meta_model(variant, 19)
    assert sum(p.numel() for p in model.parameters()) == 60_489_752
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        feature, _, encoder = model.base.encode(
            model.net, torch.empty(1, 3, size[0] // 2, size[1] // 2, device="meta")
        )
        model.sisr(encoder)
        model.transform(model.scores(feature, (size[0] // 2, size[1] // 2)))
    assert counter.get_total_flops() / 2e9 == pytest.approx(train, abs=0.005)


VARIANTS = [f"base={base}" for base in BASES] + [
    "base=deeplabv3plus101,form=dootmaan",
    "fa=off",
    "sisr=off,fa=off",
    OFF,
    "sssr=off,fa=off",
]


@pytest.mark.parametrize("parameters", VARIANTS)
def test_every_parameter_is_trained(parameters):
    model = create(f"dsrl[{parameters},width=0.125]").train()
    sum(model.loss(model.phases()[0], batch()).values()).backward()
    idle = [
        name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert idle == []


@pytest.mark.parametrize("parameters", VARIANTS)
@pytest.mark.parametrize("size", [(64, 96), (75, 101)])
def test_logits_have_the_images_size(parameters, size):
    model = create(f"dsrl[{parameters},width=0.125]").eval()
    with torch.no_grad():
        logits, reference = model.keyframe(torch.rand(1, 3, *size))
    assert logits.shape == (1, CLASSES, *size)
    assert reference is None
    terms = model.train().loss(model.phases()[0], batch(size))
    assert all(torch.isfinite(term) and term.ndim == 0 for term in terms.values())


@pytest.mark.parametrize("parameters", ["base=espnetv2", "base=deeplabv3plus101,form=dootmaan"])
def test_the_output_is_twice_the_networks_input(parameters):
    """Nothing is resized where the image has twice the size of the network's input."""
    model = create(f"dsrl[{parameters},width=0.125]").eval()
    image = torch.rand(1, 3, 64, 128)
    with torch.no_grad():
        low = F.interpolate(model.normalise(image), (32, 64), mode="bilinear", align_corners=True)
        assert torch.equal(
            model.scores(model.net.features(low)[0], (32, 64)), model.keyframe(image)[0]
        )


def test_loss_by_its_definition():
    """Cross-entropy at the label's size, 0.1 of the image's squared error, and 1.0 of the affinity
    of both features."""
    model, given = create("dsrl[width=0.125]").eval(), batch()
    with torch.no_grad():
        terms = model.loss(model.phases()[0], given)
        low = F.interpolate(
            model.normalise(given.image), (32, 48), mode="bilinear", align_corners=True
        )
        feature, last = model.net.features(low)
        scores = model.sssr.stages(model.net.final(feature))
        structure, image = model.sisr((last,))
        assert scores.shape[2:] == structure.shape[2:] == image.shape[2:] == given.image.shape[2:]
        assert set(terms) == {"task", "sisr", "affinity"}
        assert float(terms["task"]) == pytest.approx(
            float(F.cross_entropy(scores, given.label)), rel=1e-5
        )
        assert float(terms["sisr"]) == pytest.approx(
            0.1 * float(((image - given.image) ** 2).mean()), rel=1e-5
        )
        expected = float(feature_affinity(model.transform(scores), structure, 8))
        assert float(terms["affinity"]) == pytest.approx(expected, rel=1e-5)


def test_weights_of_the_losses():
    given = batch()
    plain, heavy = (
        create("dsrl[width=0.125]").eval(),
        create("dsrl[width=0.125,w1=0.5,w2=3]").eval(),
    )
    with torch.no_grad():
        first, second = (model.loss(model.phases()[0], given) for model in (plain, heavy))
    assert float(second["sisr"]) == pytest.approx(5 * float(first["sisr"]), rel=1e-5)
    assert float(second["affinity"]) == pytest.approx(3 * float(first["affinity"]), rel=1e-5)
    assert float(second["task"]) == float(first["task"])


def test_under_autocast_the_losses_hardly_change():
    model, given = create("dsrl[width=0.125]").eval(), batch()
    with torch.no_grad():
        exact = model.loss(model.phases()[0], given)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model.loss(model.phases()[0], given)
    for name, term in exact.items():
        assert rough[name].dtype == torch.float32
        assert float(rough[name]) == pytest.approx(float(term), rel=0.1), name


def test_every_term_falls_in_training():
    """On one batch of coloured blocks the labels are learnt, the image is rebuilt, and the two
    features grow alike."""
    model = create("dsrl[width=0.125]").train()
    label = torch.randint(0, 3, (2, 8, 12), generator=torch.Generator().manual_seed(1))
    label = label.repeat_interleave(8, 1).repeat_interleave(8, 2)
    given = Batch(F.one_hot(label, 3).permute(0, 3, 1, 2) * 0.7 + 0.1, label, torch.ones(CLASSES))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    history = []
    for _ in range(25):
        terms = model.loss(model.phases()[0], given)
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
        history.append({name: float(term.detach()) for name, term in terms.items()})
    assert all(history[-1][name] < 0.7 * history[0][name] for name in ("task", "sisr", "affinity"))


@pytest.mark.parametrize(
    ("text", "display"),
    [
        ("dsrl", "DSRL-ESPNetv2"),
        ("dsrl[base=bisenet,width=0.5]", "DSRL-BiSeNet18 (width 0.5)"),
        ("dsrl[scale=0.25]", "DSRL-ESPNetv2 0.25x"),
        ("dsrl[fa=off]", "ESPNetv2+SSSR+SISR"),
        ("dsrl[base=pspnet50,sisr=off,fa=off]", "PSPNet50+SSSR"),
        (f"dsrl[base=deeplabv3plus101,{OFF}]", "DeepLabv3+ 0.5x"),
    ],
)
def test_display(text, display):
    assert meta_model(parse_variant(text), CLASSES).display == display


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            "base=vgg",
            "unknown base 'vgg' of dsrl: expected espnetv2, deeplabv3plus101, pspnet18",
        ),
        ("form=sanje2v", "unknown form 'sanje2v' of dsrl: expected paper or dootmaan"),
        ("form=dootmaan", "dsrl: form=dootmaan is of base=deeplabv3plus101 alone, not of espnetv2"),
        ("sssr=off", "with one of them off, add fa=off"),
        ("w1=-1", "weights of losses, 0 or more"),
        ("scale=2", "scale=2 is not between 0.05 and 1"),
    ],
)
def test_wrong_parameters_are_refused_in_words(parameters, words):
    with pytest.raises(UsageError, match=words):
        create(f"dsrl[{parameters}]")
