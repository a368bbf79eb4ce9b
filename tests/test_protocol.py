"""Protocols: which frames are encoded together, which are scored at which distance, what is
refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vssbench.core.errors import ExperimentRefused, UsageError
from vssbench.core.video import Clip
from vssbench.protocol import (
    MEAN_OF_DISTANCES,
    POOLED,
    Dense,
    EveryDistance,
    Pairs,
    Protocol,
    protocol,
    typed,
)


def clip(length: int, labelled: tuple[int, ...] | None = None) -> Clip:
    """Frame i is filled with i, and so is its label."""

    def label(index: int) -> np.ndarray | None:
        return np.full((4, 6), index, np.uint8) if labelled is None or index in labelled else None

    return Clip(
        "c", length, 4, 6, 15.0, lambda i: np.full((4, 6, 3), i, np.uint8), label, "f",
        flow=lambda i, j: np.full((4, 6, 2), 100 * i + j, np.float32),
    )  # fmt: skip


def placed(chosen: Protocol, source: Clip, gop: int) -> list[tuple[int, int, int]]:
    """(frame of the clip, distance, frames encoded) of everything scored, found by walking every
    episode frame by frame."""
    found = []
    for episode in chosen.episodes(source, gop):
        for index in range(episode.clip.length):
            image, label = episode.clip.image(index), episode.clip.label(index)
            assert (image == episode.first + index).all()
            if episode.scores(index) and label is not None:
                assert (label == episode.first + index).all()
                assert episode.runs(index, index % gop == 0)
                found.append((episode.first + index, index % gop, episode.clip.length))
    return found


def test_dense_scores_every_label_once_where_it_falls() -> None:
    assert placed(Dense(), clip(7, (1, 4, 6)), 3) == [(1, 1, 7), (4, 1, 7), (6, 0, 7)]
    (episode,) = Dense().episodes(clip(7), 3)
    assert all(episode.runs(index, False) for index in range(7))


@pytest.mark.parametrize("gop", [1, 3, 5])
@pytest.mark.parametrize("labelled", [None, (0, 2, 4, 9), (6,)])
def test_every_distance_places_each_label_at_each_distance_once(
    gop: int, labelled: tuple[int, ...] | None
) -> None:
    source = clip(10, labelled)
    usable = [i for i in labelled or range(10) if i >= gop - 1]
    expected = [(i, d) for i in usable for d in range(gop)]
    for chosen in (EveryDistance(), EveryDistance("label"), Pairs()):
        assert [item[:2] for item in placed(chosen, source, gop)] == expected
    # until=gop: whole GOPs, or up to the clip's end; until=label: no frame beyond the labelled one
    assert [item[2] for item in placed(EveryDistance(), source, gop)] == [
        min(gop, 10 - i + d) for i, d in expected
    ]
    assert [item[2] for item in placed(EveryDistance("label"), source, gop)] == [
        d + 1 for _, d in expected
    ]


def test_between_keyframe_and_label_no_method_runs() -> None:
    episode = next(
        e for e in EveryDistance().episodes(clip(10, (6,)), 4) if e.scored == frozenset({2})
    )
    assert [episode.runs(index, index == 0) for index in range(4)] == [True, False, True, False]


def test_labels_without_enough_before_them_are_told() -> None:
    assert EveryDistance().remarks([clip(10, (0, 2, 9)), clip(3, (2,))], 3) == [
        "1 of 4 labelled frames have fewer than 2 frames before them and are left out"
    ]
    assert Pairs().remarks([clip(5, (4,))], 5) == []
    assert Dense().remarks([clip(1)], 12) == []


def test_stills_are_refused_in_words() -> None:
    with pytest.raises(
        ExperimentRefused,
        match=r"every-distance needs 11 frames before a labelled one .* none of the 2 .* dense",
    ):
        EveryDistance().remarks([clip(1), clip(1)], 12)


def test_a_dataset_without_labels_is_refused_in_words() -> None:
    for chosen in (EveryDistance(), Pairs()):
        with pytest.raises(
            ExperimentRefused, match="scores labelled frames, and this dataset has none"
        ):
            chosen.remarks([clip(20, ())], 3)


def test_known_labels_are_not_read() -> None:
    def unread(index: int) -> None:
        raise AssertionError("labels are known: none need be read")

    source = replace(clip(10), label=unread, labelled=(3, 7))
    assert source.labelled_frames() == (3, 7)
    assert [e.first for e in EveryDistance().episodes(source, 2)] == [3, 2, 7, 6]


def test_a_part_of_a_clip() -> None:
    part = clip(10, (2, 5)).part(4, 3)
    assert (part.length, part.fingerprint) == (3, "f[4:7]")
    assert part.labelled_frames() == (1,)
    assert part.flow is not None
    assert (part.flow(1, 0) == 504).all()
    assert replace(clip(10), labelled=(2, 5)).part(4, 3).labelled == (1,)


def test_protocols_by_name() -> None:
    assert protocol("dense") == Dense()
    assert protocol("every-distance[until=label]") == EveryDistance("label")
    assert [typed(protocol(text)) for text in ("pairs", "every-distance",
    "every-distance[until=label]")] == [
        "pairs", "every-distance", "every-distance[until=label]",
    ]  # fmt: skip
    assert (Dense.aggregate, EveryDistance.aggregate, Pairs.aggregate) == (
        MEAN_OF_DISTANCES,
        MEAN_OF_DISTANCES,
        POOLED,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sparse", "unknown protocol 'sparse'; available: dense, every-distance, pairs"),
        ("dense[until=gop]", "dense has no parameter 'until'"),
        (
            "every-distance[until=end]",
            "unknown until 'end' of every-distance: expected gop or label",
        ),
    ],
)
def test_wrong_protocols(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        protocol(text)
    assert message in str(caught.value)
