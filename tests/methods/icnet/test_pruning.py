"""Pruning of ICNet: it removes what adds nothing, keeps the filters of the largest L1 norm, and
gives the smaller shapes."""

import pytest
import torch
from torch import nn

from vssbench.core.errors import WeightsError
from vssbench.methods.icnet.network import PaperICNet
from vssbench.methods.icnet.pruning import pruned, pruned_channels, strongest


def network(keep, layers=50, width=0.25, seed=0, **options):
    """A network in evaluation mode, with batch normalisation that differs from channel to channel;
    in float64, where the order of a sum's terms matters little."""
    torch.manual_seed(seed)
    net = PaperICNet(5, layers, width, keep=keep, **options)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return net.double().eval()


def silence(net, smaller):
    """Zeroes, in every set of channels, as many at random as the smaller network has fewer, in
    filters and in norms."""
    for channels in pruned_channels(net):
        first = channels.producers[0]
        full, fewer = (made.get_submodule(first).out_channels for made in (net, smaller))
        silent = torch.randperm(full)[: full - fewer]
        for name in (*channels.producers, *channels.norms):
            module = net.get_submodule(name)
            for value in (module.weight, module.bias):
                if value is not None:
                    value.data[silent] = 0


CASES = [
    {},
    {"layers": 18},
    {"layers": 101, "width": 0.125},
    {"width": 1.0},
    {"width": 0.375},
    {"fusion": "dc3"},
    {"fusion": "dc5", "layers": 18},
    {"guidance": False},
    {"branches": "sub4"},
    {"branches": "sub24"},
]


@pytest.mark.parametrize("options", CASES, ids=str)
def test_removing_silent_filters_changes_no_output(options):
    full, half = network(1.0, **options), network(0.5, seed=1, **options)
    silence(full, half)
    half.load_state_dict(pruned(full.state_dict(), half))
    image = torch.randn(1, 3, 65, 97, dtype=torch.float64)
    with torch.no_grad():
        (feature, guides), (expected, expected_guides) = half.features(image), full.features(image)
        assert torch.allclose(feature, expected, atol=1e-9, rtol=1e-9)
        assert torch.allclose(half(image)[0], full(image)[0], atol=1e-9, rtol=1e-9)
        heads = [(half.guidance24, full.guidance24), (half.guidance12, full.guidance12)]
        for (head, full_head), guide, expected_guide in zip(
            heads, guides, expected_guides, strict=True
        ):
            if head is not None:
                assert torch.allclose(head(guide), full_head(expected_guide), atol=1e-9, rtol=1e-9)
    assert expected.abs().max() > 0.1  # not silent altogether


def test_half_from_three_quarters_from_full():
    full, three_quarters, half = (
        network(keep, seed=seed) for seed, keep in enumerate((1.0, 0.75, 0.5))
    )
    silence(full, half)
    three_quarters.load_state_dict(pruned(full.state_dict(), three_quarters))
    half.load_state_dict(pruned(three_quarters.state_dict(), half))
    image = torch.randn(1, 3, 65, 97, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(half(image)[0], full(image)[0], atol=1e-9, rtol=1e-9)
    counts = [sum(p.numel() for p in net.parameters()) for net in (full, three_quarters, half)]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 3


def test_the_papers_network_has_as_many_parameters_as_a_new_one():
    with torch.device("meta"):
        half = PaperICNet(19, 50, keep=0.5)
        full = PaperICNet(19, 50, keep=1.0)
    left = pruned(
        {
            name: value.new_ones(value.shape, device="cpu")
            for name, value in full.state_dict().items()
        },
        half,
    )
    assert {name: value.shape for name, value in left.items()} == {
        n: v.shape for n, v in half.state_dict().items()
    }
    learned = {name for name, _ in half.named_parameters()}
    assert sum(left[name].numel() for name in learned) == sum(p.numel() for p in half.parameters())


def test_a_layers_filters_of_the_largest_l1_norm_are_kept():
    full, half = network(1.0), network(0.5)
    weights = full.state_dict()
    left = pruned(weights, half)
    norms = {i: float(weights["backbone.layer3.2.conv2.weight"][i].abs().sum()) for i in range(64)}
    kept = sorted(sorted(norms, key=norms.get, reverse=True)[:32])
    reads = (
        weights["backbone.layer3.2.conv1.weight"]
        .abs()
        .sum((1, 2, 3))
        .argsort(descending=True)[:32]
        .sort()
        .values
    )
    expected = weights["backbone.layer3.2.conv2.weight"][kept][:, reads]
    assert torch.equal(left["backbone.layer3.2.conv2.weight"], expected)
    for name in ("weight", "bias", "running_mean", "running_var"):
        assert torch.equal(
            left[f"backbone.layer3.2.bn2.{name}"], weights[f"backbone.layer3.2.bn2.{name}"][kept]
        )


def test_a_sums_channels_are_chosen_by_all_that_is_added():
    full, half = network(1.0), network(0.5)
    weights = full.state_dict()
    left = pruned(weights, half)
    added = ["layer2.0.downsample.0", *(f"layer2.{block}.conv3" for block in range(4))]
    total = sum(weights[f"backbone.{name}.weight"].abs().sum((1, 2, 3)) for name in added)
    kept = total.argsort(descending=True)[: len(total) // 2].sort().values
    for block in range(4):
        assert torch.equal(
            left[f"backbone.layer2.{block}.bn3.bias"],
            weights[f"backbone.layer2.{block}.bn3.bias"][kept],
        )
    assert torch.equal(left["fusion24.fine.0.weight"], weights["fusion24.fine.0.weight"][:, kept])


def test_what_is_not_of_the_backbone_stays_as_it_is():
    full, half = network(1.0), network(0.5)
    weights = full.state_dict()
    left = pruned(weights, half)
    for part in ("sub1.", "fusion12.", "guidance12.", "final."):
        names = [name for name in weights if name.startswith(part)]
        assert names
        assert all(torch.equal(left[name], weights[name]) for name in names)


def test_equal_norms_keep_the_first():
    assert strongest([torch.tensor([[1.0], [-2.0], [1.0], [0.5]])], 2).tolist() == [0, 1]
    assert strongest([torch.tensor([[1.0], [2.0]]), torch.tensor([[-4.0], [0.0]])], 1).tolist() == [
        0
    ]


def test_filters_are_not_added():
    with pytest.raises(WeightsError, match="cannot be pruned to"):
        pruned(network(0.5).state_dict(), network(1.0))


def test_a_part_of_a_network_is_not_pruned():
    weights = network(1.0).state_dict()
    del weights["reduce.0.weight"]
    with pytest.raises(
        WeightsError, match=r"lacks reduce\.0\.weight, and the network to train has it"
    ):
        pruned(weights, network(0.5))


def test_a_width_that_changes_the_layers_is_refused():
    with pytest.raises(
        WeightsError, match=r"has backbone\.layer3\.0\.downsample.*choose a larger one"
    ):
        pruned(network(1.0, width=0.0625).state_dict(), network(0.5, width=0.0625))
