"""``bench.py data`` as a user meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.datasets import fakes
from vssbench.cli import bench
from vssbench.core.errors import DataError, UsageError
from vssbench.datasets.camvid.raw_video import FOOTAGE


def call(*arguments: object) -> Result:
    return CliRunner().invoke(bench, ["data", *(str(each) for each in arguments)])


def test_status_without_a_folder_says_where_to_get_everything() -> None:
    result = call("status")
    assert result.exit_code == 0
    for text in (
        "camvid (CamVid)",
        "cityscapes-dataset.com",
        "01TP_extract.avi",
        "arsegdata",
        "synthetic",
        "CC BY-NC 4.0",
    ):
        assert text in result.stdout


def test_status_finds_the_datasets_below_a_folder(tmp_path: Path) -> None:
    fakes.camvid(tmp_path / "one")
    fakes.cityscapes(tmp_path / "two")
    fakes.folder(tmp_path / "three")
    rows = json.loads(call("status", "--data-root", tmp_path, "--json").stdout)
    assert {(row["name"], Path(row["root"]).name) for row in rows} == {
        ("camvid", "one"), ("cityscapes", "two"), ("folder", "three")
    }  # fmt: skip


def test_status_says_what_can_be_run_and_what_not(tmp_path: Path) -> None:
    result = call("status", "cityscapes", "--gop", 12, "--data-root", fakes.cityscapes(tmp_path))
    assert "leftImg8bit_sequence/val    partial   30 of 15000 frames" in result.stdout
    assert (
        "cityscapes[split=val,sequence=auto]: 2 clips of 1 to 30 frames, 2 labels" in result.stdout
    )
    rows = json.loads(call("status", "cityscapes", "--data-root", tmp_path, "--json").stdout)
    offers = {offer["variant"]: offer for offer in rows[0]["offers"]}
    video = {
        answer["protocol"]: answer
        for answer in offers["cityscapes[split=val,sequence=auto]"]["answers"]
    }
    stills = {
        answer["protocol"]: answer
        for answer in offers["cityscapes[split=val,sequence=off]"]["answers"]
    }
    assert all(answer["possible"] for answer in video.values())
    assert (
        "1 of 2 labelled frames have fewer than 11 frames before them"
        in video["every-distance"]["words"]
    )
    assert "distances 0, 7" in video["dense"]["words"]
    assert {name: answer["possible"] for name, answer in stills.items()} == {
        "dense": True, "every-distance": False, "pairs": False
    }  # fmt: skip


def test_status_of_a_split_that_is_not_there(tmp_path: Path) -> None:
    root = fakes.camvid(tmp_path)
    (root / "test.txt").unlink()
    result = call("status", "camvid", "--data-root", root)
    assert "camvid[split=test,sequence=off]: no: " in result.stdout
    assert (
        "camvid[split=val,sequence=on]: no: 4 of 4 labelled frames have no video" in result.stdout
    )
    assert "train.txt (SegNet)    partial   3 of 367 labelled frames" in result.stdout


def test_status_of_bad_folders_and_names(tmp_path: Path) -> None:
    assert isinstance(call("status", "--data-root", tmp_path / "absent").exception, DataError)
    result = call("status", "--data-root", tmp_path)
    assert "holds no dataset that is known" in str(result.exception)
    assert isinstance(call("status", "citiscapes").exception, UsageError)


def test_verify_names_every_fault_and_exits_1(tmp_path: Path) -> None:
    root = fakes.camvid(tmp_path)
    fakes.save(root / "valannot" / "0016E5_07961.png", fakes.mask([77]))
    (root / "test" / "Seq05VD_f00030.png").write_text("cut")
    result = call("verify", "camvid", "--data-root", root)
    assert result.exit_code == 1
    for text in (
        "holds the label 77",
        "Seq05VD_f00030.png cannot be read",
        "val: found 4 labelled frames, expected 101",
    ):
        assert text in result.stdout
    checked = json.loads(
        call("verify", "camvid[split=train]", "--data-root", root, "--json").stdout
    )
    assert list(checked) == ["camvid[split=train]"]
    assert len(checked["camvid[split=train]"]) == 1


def faults(name: str, root: Path) -> dict[str, list[str]]:
    """Return the faults found by variant, less those of counts, which every fake dataset has."""
    result = call("verify", name, "--data-root", root, "--json")
    assert result.exit_code in (0, 1), result.exception
    checked = json.loads(result.stdout)
    return {
        variant: [fault for fault in found if "as published" not in fault]
        for variant, found in checked.items()
    }


def test_a_split_with_images_alone_is_faulty_not_absent(tmp_path: Path) -> None:
    root = fakes.cityscapes(tmp_path)
    shutil.rmtree(root / "gtFine" / "val")
    found = faults("cityscapes", root)
    assert found["cityscapes[split=train]"] == []
    assert (
        len(
            [
                fault
                for fault in found["cityscapes[split=val]"]
                if "labelIds.png is missing" in fault
            ]
        )
        == 2
    )


def test_a_link_to_nowhere_does_not_hide_other_faults(tmp_path: Path) -> None:
    root = fakes.cityscapes(tmp_path)
    image, other = sorted((root / "leftImg8bit" / "val").glob("*/*.png"))
    image.unlink()
    image.symlink_to(tmp_path / "nowhere.png")
    next((root / "gtFine" / "val" / other.parent.name).iterdir()).write_bytes(b"")
    (
        root / "leftImg8bit_sequence" / "val" / "lindau" / "lindau_000003_000010_leftImg8bit.png"
    ).write_bytes(b"")
    words = faults("cityscapes", root)["cityscapes[split=val]"]
    assert len(words) == len(set(words)) == 3
    assert sum("is missing" in fault for fault in words) == 1
    assert sum("cannot be read as an image" in fault for fault in words) == 2


@pytest.mark.parametrize("content", ["a b c\n", ""])
def test_a_broken_list_is_a_fault_of_its_split(tmp_path: Path, content: str) -> None:
    root = fakes.camvid(tmp_path)
    (root / "val.txt").write_text(content)
    found = faults("camvid", root)
    assert {variant: len(words) for variant, words in found.items()} == {
        "camvid[split=train]": 0, "camvid[split=val]": 1, "camvid[split=test]": 0
    }  # fmt: skip
    (root / "val.txt").unlink()
    assert list(faults("camvid", root)) == ["camvid[split=train]", "camvid[split=test]"]


def test_frames_of_camvids_video_are_read_too(tmp_path: Path) -> None:
    root = fakes.camvid(tmp_path)
    for number in range(7957, 7967):
        fakes.save(
            root / "sequence" / "0016E5" / f"0016E5_{number:05d}.png", fakes.scene(number - 7900)
        )
    name = "camvid[split=val,sequence=on]"
    assert [*faults(name, root).values()] == [[]]
    (root / "sequence" / "0016E5" / "0016E5_07960.png").write_bytes(b"")
    assert "07960.png cannot be read" in str(faults(name, root))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda root: fakes.save(root / "film" / "labels" / "99.png", fakes.mask([0])),
            "has pictures 0 to 11",
        ),
        (
            lambda root: [shutil.rmtree(root / clip / "labels") for clip in ("drive", "film")],
            "has a mask: nothing to score",
        ),
        (
            lambda root: (root / "film" / "labels" / "mask-7.png").rename(
                root / "film" / "labels" / "7.tif"
            ),
            "expected PNG",
        ),
        (lambda root: (root / "classes.txt").write_text("road, 1\n"), "line 1 reads"),
        (lambda root: (root / "classes.txt").unlink(), "classes.txt is missing"),
    ],
)
def test_what_a_run_refuses_of_ones_own_clips_is_a_fault(
    tmp_path: Path, change, words: str
) -> None:
    root = fakes.folder(tmp_path)
    change(root)
    assert words in str(faults("folder", root))


def test_a_list_of_clips_in_another_encoding(tmp_path: Path) -> None:
    root = fakes.folder(tmp_path)
    (root / "train.txt").write_bytes("# Fahrt nach Köln\ndrive\n".encode("latin-1"))
    assert faults("folder[split=train]", root) == {"folder[split=train]": []}
    assert isinstance(
        call("verify", "folder[split=other]", "--data-root", root).exception, DataError
    )


def test_verify_of_sound_data_exits_0(tmp_path: Path) -> None:
    result = call("verify", "folder", "--data-root", fakes.folder(tmp_path))
    assert (result.exit_code, result.stdout) == (0, "folder[split=all]: no faults\n")
    assert call("verify", "synthetic[height=64,width=96,clips=1,frames=2]").exit_code == 0


def test_verify_of_nothing_is_an_error(tmp_path: Path) -> None:
    assert isinstance(call("verify", "camvid").exception, DataError)
    assert isinstance(call("verify", "cityscapes", "--data-root", tmp_path).exception, DataError)


def test_prepare_then_run_as_video(tmp_path: Path) -> None:
    images = [fakes.scene(number) for number in range(40)]
    root, footage = fakes.camvid(tmp_path), FOOTAGE["Seq05VD"]
    for place in (1, 31):
        fakes.save(root / "test" / f"{footage.still(place + footage.first)}.png", images[place])
    fakes.mxf(root / "videos" / "0005VD.MXF", images)
    result = call(
        "prepare", "camvid", "--data-root", root, "--split", "test", "--before", 3, "--after", 1
    )
    assert result.exit_code == 0, result.exception
    assert "0001TP: left out" in result.stdout
    assert "Seq05VD: wrote 7 frames" in result.stdout
    (root / "test.txt").write_text(
        "".join(f"test/Seq05VD_f000{n}.png testannot/Seq05VD_f000{n}.png\n" for n in ("00", "30"))
    )
    rows = json.loads(call("status", "camvid", "--data-root", root, "--gop", 4, "--json").stdout)
    (offer,) = [
        offer for offer in rows[0]["offers"] if offer["variant"] == "camvid[split=test,sequence=on]"
    ]
    assert offer["clips"] == "2 clips of 2 to 5 frames, 2 labels"
    assert {answer["protocol"] for answer in offer["answers"] if answer["possible"]} == {
        "dense",
        "every-distance",
        "pairs",
    }


def test_prepare_of_other_datasets_is_refused(tmp_path: Path) -> None:
    assert "nothing to prepare for 'cityscapes'" in str(
        call("prepare", "cityscapes", "--data-root", tmp_path).exception
    )
    assert "pass --data-root DIR" in str(call("prepare", "camvid").exception)
