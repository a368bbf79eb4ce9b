"""The losses against loops over pixels."""

import math

import pytest
import torch

from vssbench.nets.losses import cross_entropy, dice_loss, ohem_cross_entropy, probability_ohem


def case(confidence, ignored=0.2, seed=0, size=(2, 4, 12, 16)):
    """Logits whose true class is the likelier the greater the confidence, labels some of which are
    255, class weights."""
    generator = torch.Generator().manual_seed(seed)
    classes = size[1]
    label = torch.randint(0, classes, (size[0], *size[2:]), generator=generator)
    logits = torch.randn(size, generator=generator) + confidence * torch.eye(classes)[
        label
    ].permute(0, 3, 1, 2)
    label[torch.rand(label.shape, generator=generator) < ignored] = 255
    return logits, label, torch.rand(classes, generator=generator) + 0.5


def pixels(logits, label):
    """(probability of the true class, true class) of every labelled pixel."""
    found = []
    for n, y, x in torch.cartesian_prod(*(torch.arange(side) for side in label.shape)).tolist():
        true = int(label[n, y, x])
        if true != 255:
            scores = [math.exp(float(score)) for score in logits[n, :, y, x]]
            found.append((scores[true] / sum(scores), true))
    return found


def mean(kept, weights):
    total = sum(float(weights[true]) for _, true in kept)
    return sum(-math.log(probability) * float(weights[true]) for probability, true in kept) / total


def coincheung(logits, label, weights):
    """Losses above -log 0.7; if a sixteenth of the labelled pixels is more, the largest of that
    number."""
    each = pixels(logits, label)
    least = len(each) // 16
    hard = [item for item in each if -math.log(item[0]) > -math.log(0.7)]
    if len(hard) < least:
        hard = sorted(each)[:least]
    return mean(hard, weights)


def torchseg(logits, label, weights):
    """Probabilities up to 0.7, or up to the k-th smallest if that is greater, with k a sixteenth of
    all pixels."""
    each = pixels(logits, label)
    least = label.numel() // 16
    if least > len(each):
        return mean(each, weights)
    bound = max(0.7, sorted(each)[least - 1][0])
    return mean([item for item in each if item[0] <= bound], weights)


# most pixels hard; about half; almost none, so that the minimum holds
@pytest.mark.parametrize("confidence", [0, 2, 9])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(ohem_cross_entropy, coincheung), (probability_ohem, torchseg)]
)
def test_hard_example_mining(ours, theirs, confidence):
    logits, label, weights = case(confidence)
    assert float(ours(logits, label)) == pytest.approx(
        theirs(logits, label, torch.ones(4)), rel=1e-4
    )
    assert float(ours(logits, label, weights)) == pytest.approx(
        theirs(logits, label, weights), rel=1e-4
    )


def test_the_two_kinds_differ_in_what_a_sixteenth_is_of():
    """A batch that is mostly without labels: TorchSeg's minimum counts those pixels, CoinCheung's
    does not."""
    logits, label, weights = case(9, ignored=0.9)
    each = len(pixels(logits, label))
    assert each // 16 < label.numel() // 16 < each
    assert float(ohem_cross_entropy(logits, label, weights)) == pytest.approx(
        coincheung(logits, label, weights), rel=1e-4
    )
    assert float(probability_ohem(logits, label, weights)) == pytest.approx(
        torchseg(logits, label, weights), rel=1e-4
    )
    assert float(probability_ohem(logits, label)) < float(ohem_cross_entropy(logits, label))


def test_torchseg_mines_nothing_where_fewer_pixels_than_the_minimum_have_labels():
    logits, label, weights = case(9)
    label[:] = 255
    label[0, 0, :5] = 1
    expected = float(cross_entropy(logits, label, weights))
    assert float(probability_ohem(logits, label, weights)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_dice(weighted):
    logits, label, weights = case(1)
    if not weighted:
        weights = torch.ones(4)
    overlap, total = [0.0] * 4, [0.0] * 4
    for n, y, x in torch.cartesian_prod(*(torch.arange(side) for side in label.shape)).tolist():
        if label[n, y, x] == 255:
            continue
        scores = [math.exp(float(score)) for score in logits[n, :, y, x]]
        for index in range(4):
            probability, target = scores[index] / sum(scores), float(label[n, y, x] == index)
            overlap[index] += probability * target
            total[index] += probability + target
    each = [overlap[index] / total[index] * float(weights[index]) for index in range(4)]
    given = weights if weighted else None
    assert float(dice_loss(logits, label, given)) == pytest.approx(
        1 - sum(each) / float(weights.sum()), rel=1e-4
    )


def test_a_perfect_result_leaves_half_of_the_dice_loss():
    label = torch.arange(4).repeat(3, 8, 2)
    logits = 60 * torch.eye(4)[label].permute(0, 3, 1, 2)
    assert float(dice_loss(logits, label)) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("loss", [cross_entropy, ohem_cross_entropy, probability_ohem, dice_loss])
def test_a_batch_without_labels_trains_nothing(loss):
    logits, label, weights = case(0)
    logits.requires_grad_(True)
    value = loss(logits, torch.full_like(label, 255), weights)
    value.backward()
    assert torch.isfinite(value)
    assert float(logits.grad.abs().max()) == 0


@pytest.mark.parametrize("loss", [ohem_cross_entropy, probability_ohem])
def test_easy_pixels_have_no_gradient(loss):
    logits, label, weights = case(3, ignored=0)
    logits.requires_grad_(True)
    loss(logits, label, weights).backward()
    moved = logits.grad.abs().sum(1) > 0
    probability = torch.softmax(logits, 1).gather(1, label[:, None])[:, 0]
    assert torch.equal(moved, probability < 0.7)
