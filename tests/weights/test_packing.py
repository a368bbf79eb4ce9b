"""Packed weight files lose nothing, store what they share once, and say what is amiss."""

import hashlib
import json
import zlib

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import save_file

from vssbench.cli import bench
from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.variant import parse_variant
from vssbench.weights import file as weights
from vssbench.weights import packing, shipped, writing

CLASSES = ("road", "sky", "car")
#: SHA-256 of the shipped files before they were packed: results in results/reference name them
SHIPPED = dict(
    reversed(line.split())
    for line in """
93319d561120957132cf9956bcf09a1ee40096b9e59147c120ddc2e265504d68 arseg-s0.5-w0.25-camvid
d03d3bb9eaea3476d671d567195be5832ebd502cd1d68905f36f67bab16c05d4 pspnet-s0.5-w0.25-camvid
e55daafdb0d37398f46251fd3ff805754fddd2eaf8ba39a68b788ee495d11b52 pspnet-w0.25-camvid
""".strip().splitlines()
)


def half(*shape):
    return (torch.randn(*shape) * 0.1).half()


def save(path, tensors, part_bytes=None):
    variant = parse_variant("pspnet[width=0.125]")
    origin = writing.Origin(variant, CLASSES, "patterns", {"epochs": 3})
    writing.save_state(path, tensors, origin, {}, part_bytes)
    return weights.open_weights(path)


@pytest.fixture
def base(tmp_path):
    torch.manual_seed(0)
    tensors = {f"net.{n}": half(64, 80) for n in "abc"} | {"net.bias": torch.randn(8)}
    return save(tmp_path / "base.safetensors", tensors)


@pytest.fixture
def user(base, tmp_path):
    """Shares two tensors with the base, has one trained on, and one of each odd kind of its own."""
    theirs = base.stored()
    specials = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), float("nan")]).half()
    far = torch.cat([specials, half(5115)]).reshape(64, 80)
    tensors = {
        "high.a": theirs["net.a"],
        "high.bias": theirs["net.bias"],
        "low.b": (theirs["net.b"].float() * (1 + 0.001 * torch.randn(64, 80))).half(),
        "low.c": far,
        "own.scalar": torch.tensor(3),
        "own.empty": torch.zeros(0, 4),
        "own.flags": torch.tensor([True, False, True]),
    }
    return save(tmp_path / "plain.safetensors", tensors, part_bytes=12_000)


def content(file):
    return b"".join(path.read_bytes() for path in file.parts)


def packed(user, base, name="packed.safetensors", **options):
    paths = writing.pack(user.path.with_name(name), user, [base], **options)
    file = weights.open_weights(paths[0])
    assert file.parts == paths
    return file


def equal(first, second):
    return first.keys() == second.keys() and all(
        value.dtype == second[name].dtype
        and value.shape == second[name].shape
        and value.contiguous().numpy().tobytes() == second[name].contiguous().numpy().tobytes()
        for name, value in first.items()
    )


@pytest.mark.parametrize("part_bytes", [None, 6000])
def test_the_plain_file_comes_back_byte_for_byte(user, base, tmp_path, part_bytes):
    assert len(user.parts) > 1
    file = packed(user, base, part_bytes=part_bytes)
    assert (len(file.parts) > 1) == (part_bytes is not None)
    assert equal(user.stored(), file.stored())
    assert equal(user.tensors(), file.tensors())
    assert file.sha256 == user.sha256 == hashlib.sha256(content(user)).hexdigest()
    assert file.variant == user.variant
    assert file.training == user.training
    again = writing.unpack(tmp_path / "again.safetensors", file)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in user.parts]


def test_what_is_shared_is_not_stored_again(user, base):
    file = packed(user, base)
    (reference,) = file.packed.references
    assert reference.same == {"high.a": "net.a", "high.bias": "net.bias"}
    assert reference.near == {"low.b": "net.b"}
    with safe_open(file.path, "pt") as stored:
        sizes = {name: stored.get_tensor(name).nbytes for name in stored.keys()}  # noqa: SIM118
    assert sizes.keys() == {"", "low.b", "low.c", "own.scalar", "own.empty", "own.flags"}
    assert sizes["low.b"] < 0.75 * user.stored()["low.b"].nbytes
    assert sizes["low.c"] < user.stored()["low.c"].nbytes


def test_the_record_of_the_training_is_stored_once_and_compressed(user, base):
    file = packed(user, base)
    with safe_open(file.path, "pt") as stored:
        assert "training" not in stored.metadata()
    assert file.metadata["training"] == user.metadata["training"]
    file.path.write_bytes(damaged_headers(file.path))
    with pytest.raises(WeightsError, match=r"is damaged: its header cannot be read.*fetch it"):
        weights.open_weights(file.path)


def damaged_headers(path):
    """Return a packed file whose stream of the plain headers begins with other bytes."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    start, end = json.loads(content[8 : 8 + size])[""]["data_offsets"]
    place = 8 + size + start
    return content[:place] + bytes(end - start) + content[8 + size + end :]


def test_packed_files_refer_to_packed_files_and_are_packed_again(user, base, tmp_path):
    plain_base = base.stored()
    middle = packed(base, user, "middle.safetensors")
    file = packed(user, middle, "top.safetensors")
    assert equal(middle.stored(), plain_base)
    assert equal(file.stored(), user.stored())
    repacked = writing.pack(tmp_path / "anew.safetensors", file, [])
    anew = weights.open_weights(repacked[0])
    assert anew.packed.references == ()
    assert anew.sha256 == user.sha256
    assert equal(anew.stored(), user.stored())


def test_a_missing_or_another_reference_is_said(user, base, tmp_path):
    file = packed(user, base)
    held = base.path.read_bytes()
    base.path.unlink()
    with pytest.raises(WeightsError, match=f"base.safetensors, which is not beside it.*{tmp_path}"):
        weights.open_weights(file.path).tensors()
    save(base.path, {"net.a": half(64, 80)})
    with pytest.raises(WeightsError, match=r"refers to a base.safetensors of SHA-256 .*put back"):
        file.tensors()
    base.path.write_bytes(held)
    assert equal(file.stored(), user.stored())


def edited(file, change):
    """Write a packed file anew with another record or other bytes."""
    with safe_open(file.path, "pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        metadata = stored.metadata()
    record = json.loads(metadata["packed"])
    change(tensors, record)
    save_file(tensors, file.path, metadata | {"packed": json.dumps(record)})
    return weights.open_weights(file.path)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, record: tensors.pop("low.c"),
        lambda tensors, record: tensors.pop(""),
        lambda tensors, record: tensors.update({"low.c": torch.zeros(9, dtype=torch.uint8)}),
        lambda tensors, record: tensors.update({"low.c": tensors["low.b"].clone()}),
        lambda tensors, record: record["references"][0]["same"].update({"high.a": "net.c"}),
        lambda tensors, record: record["references"][0]["same"].update({"high.a": "none"}),
        lambda tensors, record: record["references"][0]["near"].update({"low.b": "net.bias"}),
        lambda tensors, record: record.update(sha256="0" * 64),
    ],
)
def test_damaged_content_is_refused(user, base, change):
    file = edited(packed(user, base), change)
    with pytest.raises(WeightsError, match=r"packed.safetensors is damaged: its content .*again"):
        file.tensors()


def of_many_scales(tmp_path):
    """A file with a tensor whose mantissas are noise and whose exponents go with its rows, and one
    that repeats itself."""
    torch.manual_seed(0)
    scales = torch.logspace(-3, 0, 64)[:, None]
    tensors = {
        "net.rows": (torch.randn(64, 512) * scales).half().view(torch.int16).bitwise_and(-32),
        "net.same": torch.arange(8).repeat(1000).half(),
    }
    return save(
        tmp_path / "plain.safetensors",
        {"net.rows": tensors["net.rows"].view(torch.float16), "net.same": tensors["net.same"]},
    )


def test_planes_are_coded_each_in_its_own_way(tmp_path):
    plain = of_many_scales(tmp_path)
    file = weights.open_weights(writing.pack(tmp_path / "packed.safetensors", plain, [])[0])
    with safe_open(file.path, "pt") as stored:
        rows, same = (stored.get_tensor(f"net.{name}").numpy() for name in ("rows", "same"))
    together = zlib.compress(packing.content(plain.stored()["net.rows"]), 9)
    assert rows[0] == 2
    assert len(rows) < 0.9 * len(together)
    assert len(same) < 100
    assert equal(file.stored(), plain.stored())


@pytest.mark.parametrize(
    "damage",
    [
        lambda rows: rows[:-9],  # the last plane is cut
        lambda rows: rows[:3],  # so is the first one's length
        lambda rows: torch.cat([rows[:1], torch.tensor([255] * 4, dtype=torch.uint8), rows[5:]]),
        lambda rows: torch.cat([rows[:5], rows[5:6] ^ 3, rows[6:]]),  # another code
        lambda rows: torch.cat([torch.tensor([1], dtype=torch.uint8), rows[1:]]),
    ],
)
def test_a_damaged_plane_is_refused(tmp_path, damage):
    plain = of_many_scales(tmp_path)
    file = weights.open_weights(writing.pack(tmp_path / "packed.safetensors", plain, [])[0])
    file = edited(
        file, lambda tensors, _: tensors.update({"net.rows": damage(tensors["net.rows"])})
    )
    with pytest.raises(WeightsError, match=r"packed.safetensors is damaged: its content .*again"):
        file.tensors()


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, record: record.pop("sha256"),
        lambda tensors, record: record.update(files="two"),
        lambda tensors, record: record["references"][0].update(more=1),
        lambda tensors, record: record["references"][0].update(file="../base.safetensors"),
        lambda tensors, record: record.update(references=3),
    ],
)
def test_a_damaged_record_is_refused(user, base, change):
    file = edited(packed(user, base), change)
    with pytest.raises(WeightsError, match="damaged record of how it was packed"):
        file.tensors()


def test_files_that_refer_to_one_another_are_refused(user, base):
    first = packed(user, base)

    def to_itself(tensors, record):
        record["references"][0] |= {"file": first.path.name, "sha256": record["sha256"]}

    with pytest.raises(WeightsError, match="refers to itself"):
        edited(first, to_itself).tensors()


def test_references_lie_beside_the_file(user, base, tmp_path):
    with pytest.raises(UsageError, match="refers to files beside it"):
        writing.pack(tmp_path / "elsewhere" / "packed.safetensors", user, [base])
    with pytest.raises(UsageError, match="cannot refer to itself"):
        writing.pack(base.path, user, [base])


def test_commands(user, base, tmp_path):
    out, back = tmp_path / "out.safetensors", tmp_path / "back.safetensors"
    command = ["weights", "pack", str(user.path), "--refer", str(base.path), "-o"]
    done = CliRunner().invoke(bench, [*command, str(out)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}\n"
    told = json.loads(CliRunner().invoke(bench, ["weights", "info", "--json", str(out)]).stdout)
    assert told["sha256"] == user.sha256
    assert told["refers to"] == ["base.safetensors (2 entries equal, 1 as a difference)"]
    assert (
        CliRunner().invoke(bench, ["weights", "unpack", str(out), "-o", str(back)]).exit_code == 0
    )
    assert content(weights.open_weights(back)) == content(user)
    for taken in (user.path, base.path):
        refused = CliRunner().invoke(bench, [*command, str(taken), "--force"])
        assert refused.exit_code != 0


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_hold_what_they_held(name: str) -> None:
    file = weights.open_weights(shipped.shipped_folder() / f"{name}.safetensors")
    assert file.sha256 == SHIPPED[name]
    # of the very bytes that the plain file had, not only as recorded
    assert file.plain().sha256 == SHIPPED[name]


@pytest.mark.parametrize(
    "path", sorted(shipped.shipped_folder().glob("*.safetensors")), ids=lambda path: path.stem
)
def test_every_shipped_file_holds_what_its_sha256_says(path) -> None:
    file = weights.open_weights(path)
    assert file.plain().sha256 == file.sha256


def test_shipped_arseg_refers_to_its_pspnet() -> None:
    file = weights.open_weights(shipped.shipped_folder() / "arseg-s0.5-w0.25-camvid.safetensors")
    high, low = file.packed.references
    assert (high.file, low.file) == (
        "pspnet-w0.25-camvid.safetensors", "pspnet-s0.5-w0.25-camvid.safetensors",
    )  # fmt: skip
    names = {name for name in file.stored() if name.startswith("high.")}
    assert set(high.same) == names
    assert file.path.stat().st_size < 2.1e6
