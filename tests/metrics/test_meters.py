"""Meters by name."""

import pytest

from vssbench.core.errors import UsageError
from vssbench.metrics.meters import METERS, named


def test_names_once_and_in_one_order() -> None:
    assert named([]) == ()
    assert (
        named(["consistency", "boundary, consistency"])
        == ("boundary", "consistency")
        == tuple(METERS)
    )


@pytest.mark.parametrize("text", ["flicker", "", "boundary,"])
def test_an_unknown_one_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="available: boundary, consistency"):
        named([text])
