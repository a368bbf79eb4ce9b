"""Shipped weights: packed beside what they started from, and listed as their records say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tools import ship_weights as tool
from vssbench.core.variant import parse_variant
from vssbench.training.gradients import Findings
from vssbench.training.kept import FORMS
from vssbench.weights.file import open_weights
from vssbench.weights.writing import Origin, save_state

PLAN: dict[str, Any] = {
    "width": 0.25,
    "mantissa_bits": 5,
    "stages": [
        {"name": "drawn", "variant": "synthetic"},
        {"name": "again", "variant": "synthetic", "seed": 1},
    ],
    "trainings": {
        "base": {"file": "first"},
        "user": {"file": "user", "init": ["part", "base"]},
        "part": {},
    },
}
RECORD = {
    "command": "python bench.py train m --epochs 2 --out x.safetensors --device cpu --minutes 9.5",
    "history": [{"phase": "task", "epoch": 1}, {"phase": "task", "epoch": 2}],
    "best": {"task": {"measure": "mIoU", "score": 0.5, "epoch": 2, "taken": True}},
    "seconds": 90,
}


def trained(
    work: Path, name: str, tensors: dict[str, torch.Tensor], record: dict[str, Any] = RECORD
) -> Path:
    path = work / f"{name}.safetensors"
    origin = Origin(parse_variant("pspnet"), ("road", "sky"), "synthetic", record)
    save_state(path, tensors, origin, {}, None)
    return path


def test_finished_trainings_are_packed_beside_their_base(tmp_path: Path) -> None:
    work, folder = tmp_path / "work", tmp_path / "weights"
    work.mkdir()
    folder.mkdir()
    torch.manual_seed(0)
    shared = torch.randn(200, 100).half()
    base = trained(work, "base-drawn", {"net.a": shared})
    user = trained(work, "user-drawn", {"net.a": shared, "net.b": torch.randn(8).half()})
    trained(work, "base-again", {"net.a": shared})
    trained(work, "part-drawn", {"net.a": shared})
    written = tool.ship(PLAN, work, folder)
    names = ["first-w0.25-synthetic.safetensors", "user-w0.25-synthetic.safetensors"]
    assert [path.name for path in written] == names
    first, second = (open_weights(path) for path in written)
    for file, source in ((first, base), (second, user)):
        assert file.training == open_weights(source).training | {"rounded": {"mantissa_bits": 5}}
    assert torch.equal(second.stored()["net.a"], tool.rounded(shared, 5))
    assert torch.equal(first.stored()["net.a"], second.stored()["net.a"])
    assert written[1].stat().st_size < written[0].stat().st_size / 4
    assert tool.ship(PLAN, work, folder) == []


def test_float16_is_rounded_to_the_nearest_that_a_short_mantissa_holds() -> None:
    torch.manual_seed(0)
    # with values below the normal ones, ties, the largest, and what is no number
    special = torch.tensor([0.0, -0.0, 6e-8, 65504, -65504, torch.inf, torch.nan, 1 + 2**-6])
    value = torch.cat([torch.randn(4000) * torch.logspace(-7, 4, 4000), special]).half()
    short = tool.rounded(value, 5)
    assert short.dtype == torch.float16
    assert torch.equal(short.isnan(), value.isnan())
    assert torch.equal(short.isinf(), value.isinf())
    finite = value.isfinite()
    codes = short[finite].view(torch.int16)
    assert not (codes & 0x1F).any()
    wide, near = value[finite].double(), short[finite].double()
    # a mantissa of five bits, as frexp's of six with the leading one
    mantissa, exponent = torch.frexp(wide)
    step = torch.ldexp(torch.ones_like(mantissa), (exponent - 6).clamp(min=-19))
    bounded = wide.abs() < 64000
    assert ((near - wide).abs() <= step / 2)[bounded].all()
    assert torch.equal(near[bounded], (torch.round(wide / step) * step)[bounded])
    assert torch.equal(tool.rounded(short, 5).view(torch.int16), short.view(torch.int16))
    assert tool.rounded(value.float(), 5).dtype == torch.float32


def test_what_others_refer_to_waits_for_them(tmp_path: Path) -> None:
    work, folder = tmp_path / "work", tmp_path / "weights"
    work.mkdir()
    folder.mkdir()
    plan = PLAN | {
        "stages": [
            *PLAN["stages"],
            {"name": "longer", "variant": "synthetic", "from": "drawn"},
        ]
    }
    torch.manual_seed(0)
    first, other = (torch.randn(200, 100).half() for _ in range(2))
    trained(work, "base-drawn", {"net.a": first})
    user = trained(work, "user-drawn", {"net.a": first, "net.b": other})
    _, shipped = tool.ship(plan, work, folder)
    user.rename(tmp_path / user.name)
    trained(work, "base-longer", {"net.a": other})
    assert tool.ship(plan, work, folder) == []
    assert torch.equal(open_weights(shipped).stored()["net.a"], tool.rounded(first, 5))
    (tmp_path / user.name).rename(user)
    (work / "base-drawn.safetensors").unlink()  # so that the user is looked at first
    assert len(tool.ship(plan, work, folder)) == 2  # the base of the later stage, and its user
    assert torch.equal(open_weights(shipped).stored()["net.b"], tool.rounded(other, 5))
    assert tool.ship(plan, work, folder) == []


def test_what_a_waiting_file_refers_to_waits_too(tmp_path: Path) -> None:
    work, folder = tmp_path / "work", tmp_path / "weights"
    work.mkdir()
    folder.mkdir()
    plan = PLAN | {
        "trainings": {
            "base": {"file": "first"},
            "user": {"file": "user", "init": ["base"]},
            "last": {"file": "last", "init": ["user"]},
        }
    }
    torch.manual_seed(0)
    first, second, new = (torch.randn(200, 100).half() for _ in range(3))
    trained(work, "base-drawn", {"net.a": first})
    trained(work, "user-drawn", {"net.a": first, "net.b": second})
    trained(work, "last-drawn", {"net.b": second})
    shipped = tool.ship(plan, work, folder)
    assert len(shipped) == 3
    (work / "last-drawn.safetensors").unlink()
    trained(work, "base-drawn", {"net.a": new})
    trained(work, "user-drawn", {"net.a": new, "net.b": new.clone()})
    assert tool.ship(plan, work, folder) == []
    for path in shipped:
        open_weights(path).stored()


def test_weights_that_were_trained_on_from_are_not_put_back(tmp_path: Path) -> None:
    work, folder = tmp_path / "work", tmp_path / "weights"
    work.mkdir()
    folder.mkdir()
    longer = {"name": "longer", "variant": "synthetic", "from": "drawn"}
    plan = PLAN | {"stages": [*PLAN["stages"], longer]}
    torch.manual_seed(0)
    first, second = (torch.randn(200, 100).half() for _ in range(2))
    before = trained(work, "base-drawn", {"net.a": first})
    initial = {
        "file": before.name, "sha256": open_weights(before).sha256, "training": RECORD
    }  # fmt: skip
    between = {"file": "x.safetensors", "sha256": "1", "training": RECORD | {"initial": [initial]}}
    after = trained(work, "base-longer", {"net.a": second}, RECORD | {"initial": [between]})
    (shipped,) = tool.ship(plan, work, folder)
    after.unlink()
    assert tool.ship(plan, work, folder) == []
    assert torch.equal(open_weights(shipped).stored()["net.a"], tool.rounded(second, 5))
    trained(work, "base-drawn", {"net.a": first + 1})  # another training of that name
    assert tool.ship(plan, work, folder) == [shipped]
    assert torch.equal(open_weights(shipped).stored()["net.a"], tool.rounded(first + 1, 5))


def test_a_network_near_others_refers_to_them_and_to_its_own_of_the_stage_before(
    tmp_path: Path,
) -> None:
    plan = PLAN | {
        "stages": [
            *PLAN["stages"],
            {"name": "real", "variant": "camvid", "from": "drawn"},
            {"name": "longer", "variant": "camvid", "from": "real"},
        ],
        "trainings": {"base": {"file": "first"}, "flow": {"file": "flow", "near": ["base"]}},
    }
    drawn, _, real, longer = plan["stages"]
    assert tool.bases_of(plan, "flow", drawn, tmp_path) == [
        tmp_path / "first-w0.25-synthetic.safetensors"
    ]
    assert tool.bases_of(plan, "flow", real, tmp_path) == [
        tmp_path / "first-w0.25-camvid.safetensors",
        tmp_path / "flow-w0.25-synthetic.safetensors",
    ]
    assert tool.bases_of(plan, "base", real, tmp_path) == []
    assert tool.bases_of(plan, "flow", longer, tmp_path) == tool.bases_of(
        plan, "flow", real, tmp_path
    )


def test_the_list_says_what_the_records_say(tmp_path: Path) -> None:
    trained(tmp_path, "some", {"net.a": torch.zeros(2)})
    line = tool.listed(tmp_path).splitlines()[-1]
    assert line == (
        "| some.safetensors | `python bench.py train m --epochs 2` | task 2 | mIoU 50.00, epoch 2 "
        "| - | 2 | not checked |"
    )


@pytest.mark.parametrize(
    ("validated", "end"),
    [
        (
            {10: 0.3, 20: 0.4, 30: 0.45, 40: 0.5, 50: 0.52, 60: 0.51},
            "40: 50.00, 50: 52.00, 60: 51.00",
        ),
        ({10: 0.5, 20: 0.6}, "10: 50.00, 20: 60.00"),
        ({8: 0.5}, "8: 50.00"),
        ({}, "-"),
    ],
)
def test_the_list_says_how_the_held_out_score_went_in_the_end(
    tmp_path: Path, validated: dict[int, float], end: str
) -> None:
    history = [
        {"phase": "task", "epoch": epoch, "validation": validated.get(epoch)}
        for epoch in range(1, 61)
    ]
    trained(tmp_path, "some", {"net.a": torch.zeros(2)}, RECORD | {"history": history})
    assert f"| {end} |" in tool.listed(tmp_path).splitlines()[-1]


FOUND = {
    "task": {"kept": {"net.a": "NCHW", "net.b": "NCHW", "net.c": "fp32 and NCHW"}},
    "joint": {"wrong": ["net.d"], "unchecked": ["net.e", "net.f"]},
}
WORDS = (
    "task: wrong and so trained in NCHW: `net.a` `net.b`, task: wrong and so trained in fp32 and "
    "NCHW: `net.c`, joint: wrong in every form: `net.d`, joint: not checked: `net.e` `net.f`"
)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"gradients": {}}, "right"),
        ({}, "not checked"),
        ({"gradients": FOUND}, WORDS),
        (
            {
                "gradients": {},
                "initial": [
                    {"file": "a", "training": {"gradients": {}}},
                    {"file": "b", "training": {"gradients": {"task": {"kept": {"n": "NCHW"}}}}},
                    {
                        "file": "c",
                        "training": {"gradients": {}, "initial": [{"file": "d", "training": {}}]},
                    },
                ],
            },
            "in `b` task: wrong and so trained in NCHW: `n`; in `d` not checked",
        ),
    ],
    ids=["right", "no record", "each finding", "of what it was started from"],
)
def test_the_list_says_what_was_found_of_gradients(
    record: dict[str, Any], words: str, tmp_path: Path
) -> None:
    trained(tmp_path, "some", {"net.a": torch.zeros(2)}, RECORD | record)
    assert tool.listed(tmp_path).splitlines()[-1].endswith(f"| 2 | {words} |")


def test_the_check_records_what_the_list_reads() -> None:
    """A finding under another name would be listed as right."""
    findings = Findings({"net.a": FORMS[0], "net.b": FORMS[1]}, ("net.c",), ("net.d",))
    said = tool.gradients({"gradients": {"task": findings.record()}})
    assert all(f"`net.{letter}`" in said for letter in "abcd")


def test_the_list_of_the_shipped_files_is_theirs() -> None:
    page = tool.LIST.read_text(encoding="utf-8")
    assert tool.listed() in page
