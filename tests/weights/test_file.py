"""Weight files: round trip, what fits, and what is refused in words."""

import json
import resource

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from vssbench.core import registry
from vssbench.core.errors import DataError, WeightsError
from vssbench.core.variant import parse_variant
from vssbench.segment.weights import weights_for
from vssbench.training.checkpoint import Checkpoint, load_checkpoint
from vssbench.weights import file as weights
from vssbench.weights import network, shipped, writing
from vssbench.weights.account import describe

CLASSES = ("road", "sky", "car")
TEXT = "bisenet[width=0.125]"


def build(text: str = TEXT):
    return registry.create("methods", parse_variant(text), classes=len(CLASSES)).eval()


@pytest.fixture
def file(tmp_path):
    torch.manual_seed(0)
    target = tmp_path / "w.safetensors"
    paths = writing.save_weights(
        target, build(), parse_variant(TEXT), CLASSES, "patterns", {"epochs": 3}
    )
    assert paths == [target]
    return weights.open_weights(target)


def test_round_trip_within_half_precision(file):
    torch.manual_seed(0)
    expected, loaded = build(), build()
    network.load_into(loaded, parse_variant(TEXT), CLASSES, file)
    for (name, value), (_, other) in zip(
        expected.state_dict().items(), loaded.state_dict().items(), strict=True
    ):
        assert torch.allclose(value.float(), other.float(), rtol=1e-3, atol=1e-6), name
    assert file.training == {"epochs": 3}
    assert file.classes == CLASSES


def test_parts_hold_what_the_whole_holds(file, tmp_path):
    torch.manual_seed(0)
    target = tmp_path / "split.safetensors"
    paths = writing.save_weights(
        target, build(), parse_variant(TEXT), CLASSES, "patterns", {}, part_bytes=100_000
    )
    assert len(paths) > 2
    assert max(path.stat().st_size for path in paths[1:]) < 120_000
    split = weights.open_weights(target)
    whole = file.tensors()
    assert split.tensors().keys() == whole.keys()
    assert all(torch.equal(value, whole[name]) for name, value in split.tensors().items())
    paths[1].unlink()
    with pytest.raises(WeightsError, match="part2 is missing or damaged"):
        split.tensors()


def split(folder, training, seed=0):
    folder.mkdir()
    torch.manual_seed(seed)
    return writing.save_weights(
        folder / "w.safetensors", build(), parse_variant(TEXT), CLASSES, "patterns", training,
        part_bytes=100_000,
    )  # fmt: skip


def without_identity(paths):
    """The same files as they were written before parts knew one another."""
    for path in paths:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata())
        assert metadata.pop("identity")
        save_file(tensors, path, metadata)


@pytest.mark.parametrize("number", [1, -1])
@pytest.mark.parametrize(
    "other", [({"epochs": 4}, 0), ({"epochs": 3}, 1)], ids=["another record", "other values"]
)
def test_a_part_of_another_training_under_the_same_name_is_refused(number, other, tmp_path):
    ours, theirs = split(tmp_path / "a", {"epochs": 3}), split(tmp_path / "b", *other)
    expected = weights.open_weights(ours[0]).tensors()
    ours[number].write_bytes(theirs[number].read_bytes())
    file = weights.open_weights(ours[0])
    for use in (file.tensors, lambda: network.build(file), lambda: describe(file.path)):
        with pytest.raises(WeightsError, match=rf"{ours[number].name} was not written together"):
            use()
    again = split(tmp_path / "c", {"epochs": 3})
    ours[number].write_bytes(again[number].read_bytes())  # the same training is the same file
    assert file.tensors().keys() == expected.keys()


def test_files_of_before_parts_knew_one_another_stay_readable(tmp_path):
    new, old = split(tmp_path / "a", {"epochs": 3}), split(tmp_path / "b", {"epochs": 3}, seed=1)
    expected = weights.open_weights(old[0]).tensors()
    without_identity(old)
    found = weights.open_weights(old[0]).tensors()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    for whole, stray in ((new, old), (old, new)):
        kept = whole[1].read_bytes()
        whole[1].write_bytes(stray[1].read_bytes())
        with pytest.raises(WeightsError, match="was not written together"):
            weights.open_weights(whole[0]).tensors()
        whole[1].write_bytes(kept)


def test_parts_of_a_packed_file_know_one_another(tmp_path):
    plain = [split(tmp_path / name, {}, seed) for name, seed in (("a", 0), ("b", 1))]
    packed = [
        writing.pack(paths[0].with_name("p"), weights.open_weights(paths[0]), [], 100_000)
        for paths in plain
    ]
    file = weights.open_weights(packed[0][0])
    assert file.tensors().keys() == weights.open_weights(plain[0][0]).tensors().keys()
    unpacked = writing.unpack(tmp_path / "again", file)
    assert [path.read_bytes() for path in unpacked] == [path.read_bytes() for path in plain[0]]
    packed[0][1].write_bytes(packed[1][1].read_bytes())
    with pytest.raises(WeightsError, match=r"p\.part2 was not written together"):
        file.tensors()


def test_statistics_keep_full_precision(file):
    tensors = file.tensors()
    assert all(value.dtype == torch.float32 for value in tensors.values())
    assert any(name.endswith("running_var") for name in tensors)


@pytest.fixture
def small_files():
    """No file of this process grows beyond 4 KB, as where a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_message_and_leaves_what_was_there(file, small_files):
    before = file.sha256
    with pytest.raises(DataError, match=r"cannot write .*w\.safetensors: .*; make room"):
        writing.save_weights(file.path, build(), parse_variant(TEXT), CLASSES, "patterns", {})
    assert file.sha256 == before
    assert [path.name for path in file.path.parent.iterdir()] == ["w.safetensors"]


def test_a_full_disk_leaves_the_checkpoint_of_before(tmp_path, request):
    path = tmp_path / "w.checkpoint"
    Checkpoint({"a": "1"}, 0, 1, {}, {}, 0.0, []).save(path)
    request.getfixturevalue("small_files")
    with pytest.raises(DataError, match=r"cannot write .*w\.checkpoint: .*; make room"):
        Checkpoint({"a": "1"}, 0, 2, {"weight": torch.zeros(10000)}, {}, 0.0, []).save(path)
    assert load_checkpoint(path, {"a": "1"}).epoch == 1
    assert [each.name for each in tmp_path.iterdir()] == ["w.checkpoint"]


def test_weight_files_have_the_mode_of_any_other_file(file, tmp_path):
    other = tmp_path / "other"
    other.touch()
    assert file.path.stat().st_mode == other.stat().st_mode


def test_another_width_is_refused_in_words(file):
    with pytest.raises(
        WeightsError, match=r"width=0\.125.*width=0\.25.*ask for -m 'bisenet\[width=0\.125\]'"
    ):
        network.check_fit(parse_variant("bisenet[width=0.25]"), CLASSES, file)
    with pytest.raises(WeightsError, match=r"width=1\b"):
        network.check_fit(parse_variant("bisenet"), CLASSES, file)


def test_another_scale_fits(file):
    network.check_fit(parse_variant("bisenet[width=0.125,scale=0.5]"), CLASSES, file)


def test_another_method_and_other_classes_are_refused(file):
    with pytest.raises(WeightsError, match="holds weights of bisenet"):
        network.check_fit(parse_variant("pspnet[width=0.125]"), CLASSES, file)
    with pytest.raises(WeightsError, match="trained on 3 classes"):
        network.check_fit(parse_variant(TEXT), ("a", "b"), file)


def test_files_that_are_no_weights(tmp_path):
    with pytest.raises(WeightsError, match="no weight file"):
        weights.open_weights(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        weights.open_weights(tmp_path / "text.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match="does not say which method"):
        weights.open_weights(tmp_path / "foreign.safetensors")


def test_tensors_that_do_not_fit_are_named(file, tmp_path):
    tensors = file.tensors()
    tensors.pop("net.final.bias")
    save_file(tensors, tmp_path / "torn.safetensors", file.metadata)
    with pytest.raises(WeightsError, match=r"net\.final\.bias: missing instead of \(3,\)"):
        network.load_into(
            build(),
            parse_variant(TEXT),
            CLASSES,
            weights.open_weights(tmp_path / "torn.safetensors"),
        )


def test_shipped_weights_settle_what_was_left_open(file, monkeypatch):
    monkeypatch.setattr(shipped, "shipped_folder", lambda: file.path.parent)
    variant, chosen = shipped.choose_shipped(parse_variant("bisenet"), "patterns", CLASSES)
    assert str(variant) == "bisenet[width=0.125]"
    assert chosen.path == file.path
    variant, _ = shipped.choose_shipped(parse_variant("bisenet[scale=0.5]"), "patterns", CLASSES)
    assert variant == parse_variant("bisenet[scale=0.5,width=0.125]")
    with pytest.raises(
        WeightsError, match=r"no weights of bisenet\[width=1\].*random weights are never scored"
    ):
        shipped.choose_shipped(parse_variant("bisenet[width=1]"), "patterns", CLASSES)
    with pytest.raises(WeightsError, match="no weights of bisenet"):
        shipped.choose_shipped(parse_variant("bisenet"), "elsewhere", CLASSES)


def test_a_shipped_file_is_read_again_where_it_was_replaced(file, monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "shipped_folder", lambda: tmp_path)
    place = tmp_path / "bisenet.safetensors"
    place.write_bytes(file.path.read_bytes())

    def ask():
        return shipped.choose_shipped(parse_variant("bisenet"), "patterns", CLASSES)[1]

    first = ask()
    assert ask() is first
    record = first.metadata | {"training": json.dumps({"command": "another"})}
    save_file(first.stored(), tmp_path / "anew", record)
    (tmp_path / "anew").replace(place)
    assert ask().training["command"] == "another"


def test_an_installation_without_weights_says_where_they_are(file, monkeypatch, tmp_path):
    monkeypatch.delenv(shipped.VARIABLE, raising=False)
    with monkeypatch.context() as installed:
        installed.setattr(shipped, "__file__", str(tmp_path / "a" / "b" / "c.py"))
        assert "came without shipped weights: set VSSBENCH_WEIG" in shipped.none_here()
    monkeypatch.setenv(shipped.VARIABLE, str(tmp_path / "nowhere"))
    for ask in (
        lambda: shipped.choose_shipped(parse_variant("bisenet"), "patterns", CLASSES),
        lambda: weights_for("warp", None, "camvid", lambda text: None),
    ):
        with pytest.raises(WeightsError, match=r"VSSBENCH_WEIGHTS names .*nowhere, which holds no"):
            ask()
    monkeypatch.setenv(shipped.VARIABLE, str(file.path.parent))
    _, chosen = shipped.choose_shipped(parse_variant("bisenet"), "patterns", CLASSES)
    assert chosen.path == file.path


def test_every_shipped_file_loads():
    files = sorted(shipped.shipped_folder().glob("*.safetensors"))
    assert files
    for path in files:
        opened = weights.open_weights(path)
        model = registry.create("methods", opened.variant, classes=len(opened.classes))
        network.load_into(model, opened.variant, opened.classes, opened)
        assert opened.training["command"].startswith("python bench.py train")
        assert all(part.stat().st_size < 10 * 2**20 for part in opened.parts)
