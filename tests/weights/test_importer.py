"""Importing checkpoints: what is recognised, what is refused in words, what the account says."""

import hashlib
import json
import pickle
import zipfile

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from tests.weights.golden import load_sample
from vssbench.cli import bench
from vssbench.core import registry
from vssbench.core.errors import WeightsError
from vssbench.core.torchvision_guard import install
from vssbench.core.variant import parse_variant
from vssbench.weights.account import describe
from vssbench.weights.checkpoint import read_checkpoint
from vssbench.weights.file import open_weights
from vssbench.weights.importer import import_checkpoints
from vssbench.weights.network import build, check_fit


def write(tmp_path, name, weights=None, file="c.pth"):
    path = tmp_path / file
    torch.save(load_sample(name).weights if weights is None else weights, path)
    return path


def imported(method, *paths, **options):
    return import_checkpoints(parse_variant(method), list(paths), **options)


@pytest.fixture(scope="module")
def hr():
    return load_sample("arseg_camvid_bise18_hr").weights


@pytest.fixture(scope="module")
def ar():
    return load_sample("arseg_camvid_bise18_fuse").weights


def test_hr_and_ar_make_the_whole_method(hr, ar, tmp_path):
    paths = write(tmp_path, "", hr, "hr.pth"), write(tmp_path, "", ar, "ar.pth")
    result = imported("arseg", *paths)
    # which these weights were made with
    assert str(result.variant) == "arseg[backbone=bise18,warp=paper]"
    assert str(imported("arseg[warp=exact]", *paths).variant) == "arseg[warp=exact,backbone=bise18]"
    assert result.missing == []
    assert result.classes[-1] == "Void"
    (path,) = result.save(tmp_path / "w.safetensors")
    file = open_weights(path)
    check_fit(parse_variant("arseg[backbone=bise18,scale=0.7]"), file.classes, file)
    model = build(file)
    assert torch.equal(model.high.final.weight, hr["conv_out.conv_out.weight"])
    assert torch.equal(model.low.head[0].weight, ar["conv_out.conv.conv.weight"])
    assert torch.equal(model.fusion.key.weight, ar["fuse_attention.hr_key_conv.weight"])
    assert model.mean.flatten().tolist() == pytest.approx([0.39068785, 0.40521392, 0.41434407])


def test_normalisation_is_the_authors(hr, tmp_path):
    """An image in [0, 1], normalised by the imported model, gives what the normalised image gives
    the network."""
    model = build(
        open_weights(
            imported("bisenet", write(tmp_path, "", hr)).save(tmp_path / "w.safetensors")[0]
        )
    )
    image = torch.rand(1, 3, 64, 96)
    mean, std = (
        torch.tensor([0.39068785, 0.40521392, 0.41434407]),
        torch.tensor([0.29652068, 0.30514979, 0.30080369]),
    )
    with torch.inference_mode():
        expected = model.net((image - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1))[0]
        assert torch.allclose(model.keyframe(image)[0], expected, atol=1e-5)


def test_half_a_method_is_kept_but_never_scored(ar, tmp_path):
    result = imported("arseg", write(tmp_path, "", ar))
    assert result.missing == ["high.context", "high.spatial", "high.fusion", "high.head"]
    file = open_weights(result.save(tmp_path / "w.safetensors")[0])
    with pytest.raises(
        WeightsError, match=r"holds a part of arseg.* alone \(missing: high.context"
    ):
        check_fit(file.variant, file.classes, file)
    with pytest.raises(WeightsError, match="holds a part"):
        build(file)
    logits, _ = build(file, partial=True).keyframe(torch.rand(1, 3, 64, 64))
    assert torch.isnan(logits).all()


@pytest.mark.parametrize("prefix", ["", "module.", "module.module."])
@pytest.mark.parametrize("holder", [None, "state_dict", "model_state"])
def test_wrappers_are_looked_through(prefix, holder, tmp_path):
    state = {f"{prefix}conv.weight": torch.ones(2, dtype=torch.float16)}
    path = write(tmp_path, "", state if holder is None else {"epoch": 3, holder: state})
    found = read_checkpoint(path)
    assert list(found) == ["conv.weight"]
    assert found["conv.weight"].dtype == torch.float32


def test_old_and_safe_formats(tmp_path):
    state = {"conv.weight": torch.ones(2)}
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "new.safetensors")
    for name in ("old.pth", "new.safetensors"):
        assert torch.equal(read_checkpoint(tmp_path / name)["conv.weight"], torch.ones(2))


class Evil:
    def __reduce__(self):
        return (open, ("executed", "w"))


def test_nothing_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.ones(1)}, "hook": Evil()}, "evil.pth")
    with pytest.raises(
        WeightsError,
        match=r"holds more than tensors \(_?io.open\), and nothing in a checkpoint is executed",
    ):
        read_checkpoint(tmp_path / "evil.pth")
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(WeightsError):
        read_checkpoint(tmp_path / "evil.pkl")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"", "not a torch checkpoint"),
        (b"PK\x03\x04 torn", "not a torch checkpoint"),
        (b"<html>404</html>", "not a torch checkpoint"),
    ],
)
def test_what_is_no_checkpoint_is_said(content, message, tmp_path):
    (tmp_path / "c.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        read_checkpoint(tmp_path / "c.pth")


def test_no_flipped_bit_of_an_archive_goes_unnoticed(tmp_path):
    """Either the file is refused in words, or what is read is what was saved."""
    torch.manual_seed(0)
    state = {"conv.weight": torch.randn(8, 4), "conv.bias": torch.randn(8)}
    torch.save(state, tmp_path / "c.pth")
    sound = (tmp_path / "c.pth").read_bytes()
    damaged = tmp_path / "damaged.pth"
    refused = 0
    for place in range(0, len(sound), 5):
        content = bytearray(sound)
        content[place] ^= 1 << place % 8
        damaged.write_bytes(content)
        try:
            found = read_checkpoint(damaged)
        except WeightsError:
            refused += 1
        else:
            assert found.keys() == state.keys(), place
            assert all(torch.equal(found[name], state[name]) for name in state), place
    assert refused > 20


@pytest.mark.parametrize("form", ["old", "safetensors", "zip"])
def test_a_format_without_checksums_is_said_with_its_digest(tmp_path, capsys, form):
    state = {"conv.weight": torch.ones(8)}
    path = tmp_path / ("c.safetensors" if form == "safetensors" else "c.pth")
    if form == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    read_checkpoint(path)
    said = " ".join(capsys.readouterr().err.split())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert ("no checksums" in said and digest in said) == (form != "zip")


def test_a_member_marked_as_a_folder_is_not_read_as_values(tmp_path):
    """torch would give the tensor whatever lies in memory."""
    path = tmp_path / "c.pth"
    torch.save({"conv.weight": torch.ones(8)}, path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
        for member in archive.infolist():
            if member.filename.endswith("/data/0"):
                break
            start = content.index(b"PK\x01\x02", start + 4)
    content[start + 38] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"is damaged: .*/data/0 is not what"):
        read_checkpoint(path)


def test_damaged_values_are_said_to_be_damaged(tmp_path):
    path = tmp_path / "c.pth"
    value = torch.arange(1000.0)
    torch.save({"state_dict": {"conv.weight": value}}, path)
    content = bytearray(path.read_bytes())
    content[content.index(value.numpy().tobytes()) + 1002] ^= 8
    path.write_bytes(content)
    for use in (read_checkpoint, describe):
        with pytest.raises(WeightsError, match=r"c\.pth is damaged: .*/data/0 is not what"):
            use(path)


def test_files_that_do_not_fit(hr, ar, tmp_path):
    first, second = write(tmp_path, "", hr, "hr.pth"), write(tmp_path, "", ar, "ar.pth")
    with pytest.raises(WeightsError, match="no checkpoint "):
        imported("pspnet", tmp_path / "absent.pth")
    with pytest.raises(
        WeightsError, match=r"is no checkpoint of pspnet that is known here .*it lacks"
    ):
        imported("pspnet", first)
    with pytest.raises(WeightsError, match="give the HR file first, then the AR file"):
        imported("arseg", first, first)
    with pytest.raises(WeightsError, match=r"is backbone=bise18, and .* asks for backbone=psp18"):
        imported("arseg[backbone=psp18]", second)
    with pytest.raises(WeightsError, match="no published checkpoint of copy is known"):
        imported("copy", first)
    torn = {**hr, "cp.arm16.conv.conv.weight": torch.zeros(7, 7)}
    with pytest.raises(
        WeightsError,
        match=r"cp\.arm16\.conv\.conv\.weight is \(7, 7\) instead of \(128, 256, 3, 3\)",
    ):
        imported("bisenet", write(tmp_path, "", torn))
    foreign = {**ar, "conv_out.conv_out.bias": torch.ones(12)}
    with pytest.raises(WeightsError, match="these two files do not belong together"):
        imported("arseg", first, write(tmp_path, "", foreign, "foreign.pth"))
    with pytest.raises(WeightsError, match="the checkpoint has 12 classes, and --classes names 2"):
        imported("bisenet", first, classes=("a", "b"))


def test_the_command_accounts_for_every_entry(ar, tmp_path):
    path = write(
        tmp_path,
        "",
        {f"module.{key}": value for key, value in {**ar, "stray": torch.ones(1)}.items()},
    )
    out = tmp_path / "w.safetensors"
    result = CliRunner().invoke(
        bench, ["weights", "import", "arseg", str(path), "-o", str(out), "--json"]
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["used"] == len(report["entries"])
    assert report["used"] + sum(map(len, report["not used"].values())) == len(ar) + 1
    assert report["not used"]["has no counterpart in our network"] == ["stray"]
    assert report["entries"]["fuse_attention.lr_query_conv.weight"] == "fusion.query.weight"
    text = CliRunner().invoke(bench, ["weights", "info", str(out)])
    assert text.exit_code == 0, text.output
    assert "arseg[backbone=bise18" in text.stdout
    assert "high.context" in text.stdout
    foreign = CliRunner().invoke(bench, ["weights", "info", str(path)])
    assert "AR-Seg CamVid BiSeNet18 AR, into arseg" in foreign.stdout


def test_a_checkpoint_is_never_replaced_by_what_is_made_of_it(hr, tmp_path):
    path = tmp_path / "orig.safetensors"
    save_file(hr, path)
    before = path.read_bytes()
    for arguments in ([], ["--force"], ["-o", str(path), "--force"]):
        result = CliRunner().invoke(bench, ["weights", "import", "bisenet", str(path), *arguments])
        assert "is read by this command" in str(result.exception)
        assert path.read_bytes() == before


def test_an_imagenet_backbone_starts_a_training(tmp_path):
    """torchvision's ResNet-18 into both of AR-Seg's networks: used entries, reasons, and what
    `train --init` makes of it."""
    install()
    import torchvision

    torch.manual_seed(0)
    state = torchvision.models.resnet18().state_dict()
    result = imported("arseg", write(tmp_path, "", state))
    assert result.classes == ()
    assert "high.psp" in result.missing
    assert {entry.reason for entry in result.unused if entry.name.startswith("fc.")} == {
        "the classifier of ImageNet's classes, which no segmentation network has"
    }
    file = open_weights(result.save(tmp_path / "w.safetensors")[0])
    model = registry.create("methods", parse_variant("arseg"), classes=5)
    assert model.initialise(file.tensors(), file.metadata) == ()
    for branch in (model.high, model.low):
        assert torch.equal(branch.backbone.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])
    with pytest.raises(
        WeightsError, match="the file holds a ResNet-18, and the network's backbone is a ResNet-50"
    ):
        imported("pspnet[layers=50]", tmp_path / "c.pth")
