"""Places that are checked before they are written: what is there, what is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from vssbench.core import outputs
from vssbench.core.errors import UsageError


def test_an_output_that_is_there_needs_force(tmp_path: Path) -> None:
    place = tmp_path / "a.png"
    outputs.check_output(place)
    place.write_text("drawn by hand")
    with pytest.raises(
        UsageError, match=r"-o .*a\.png is there already: give another name, or --force"
    ):
        outputs.check_output(place)
    outputs.check_output(place, force=True)
    outputs.check_output(Path("/dev/null"))  # which is only looked at
    with pytest.raises(UsageError, match="is a folder"):
        outputs.check_output(tmp_path, force=True)


@pytest.mark.parametrize("way", ["name", "other name", "symbolic link", "hard link", "in a folder"])
def test_an_input_is_no_output_even_with_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    given = tmp_path / "data" / "given"
    given.parent.mkdir()
    given.write_text("precious")
    out = tmp_path / "out"
    if way == "symbolic link":
        out.symlink_to(given)
    elif way == "hard link":
        out.hardlink_to(given)
    elif way == "other name":
        monkeypatch.chdir(given.parent)
        out = Path("..") / "data" / "given"
    else:
        out = given
    inputs = [tmp_path / "absent", given.parent if way == "in a folder" else given]
    with pytest.raises(UsageError, match="never written over"):
        outputs.check_output(out, inputs, force=True, option="--out")
