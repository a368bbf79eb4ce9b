"""Reads checkpoints of other people's code as plain tensors; nothing in the file is ever
executed."""

from __future__ import annotations

import hashlib
import pickle
import re
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from vssbench.core.bounds import WEIGHTS
from vssbench.core.errors import WeightsError
from vssbench.core.progress import messages
from vssbench.weights.file import check_file

#: where training scripts keep the state_dict inside a checkpoint
_HOLDERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")
#: what wrappers put before every name: DataParallel, torch.compile
_PREFIXES = ("module.", "_orig_mod.")

#: dictionaries within one another before a state_dict; a pickle can hold one within itself
_DEPTH = 8
#: the mark of a folder in what an archive states of a member
_FOLDER = 0x10


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return every tensor of a ``.pth`` (torch.save, either format) or ``.safetensors`` file by
    name, in float32.

    The unpickler is torch's restricted one, which knows tensors and plain containers alone. Raises
    WeightsError where the file is missing, damaged, holds anything else that would have to be
    executed, or no named tensors.
    """
    check_file(
        path,
        f"no checkpoint {path}: give the path of the .pth or .safetensors file that the authors "
        "published",
    )
    content = _load_safetensors(path) if path.suffix == ".safetensors" else _load_torch(path)
    state = _named_tensors(content)
    _check_tensors(path, state)
    if not state:
        raise WeightsError(
            f"{path} holds no named tensors ({_describe(content)}): expected a state_dict, or a "
            "dict that holds one"
        )
    _say_if_unchecked(path)
    return {name: _float32(value) for name, value in _without_prefix(state).items()}


def _say_if_unchecked(path: Path) -> None:
    """Say of a file without checksums that a damaged value in it would not be noticed."""
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            return
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    messages().print(
        f"{path}: this format has no checksums, so that a damaged value is not seen; compare its "
        f"sha256, {digest}, with that of its authors",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _load_safetensors(path: Path) -> Any:
    try:
        WEIGHTS.check(path.stat().st_size, str(path), WeightsError)
        return load_file(path)
    except WeightsError:
        raise
    except Exception as error:  # of what kind is the library's affair
        raise WeightsError(f"{path} is not a safetensors file: {error}") from error


def _load_torch(path: Path) -> Any:
    WEIGHTS.check(path.stat().st_size, str(path), WeightsError)
    with path.open("rb") as file:
        start = file.read(40)
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"{path} is a Git LFS pointer, not the checkpoint: fetch the file itself (git lfs pull)"
        )
    if not start.startswith((b"PK", b"\x80")) and not _is_tar(path):
        raise WeightsError(
            f"{path} is not a torch checkpoint (it begins with {start[:12]!r}): expected a file of "
            "torch.save"
        )
    if start.startswith(b"PK"):
        _check_archive(path)
    try:
        with warnings.catch_warnings():
            # of pickle protocols that the restricted unpickler may not know: it then refuses
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"(?:GLOBAL|global) ([\w.]+)", str(error))
        if refused is None:
            raise WeightsError(f"{path} is not a torch checkpoint, or damaged") from error
        raise WeightsError(
            f"{path} holds more than tensors ({refused[1]}), and nothing in a checkpoint is "
            "executed here: save its state_dict alone with the authors' code, then import that"
        ) from error
    except Exception as error:  # torch's unpickler may raise anything where a pickle is odd
        message = (str(error).strip() or type(error).__name__).split("\n", 1)[0][:200]
        raise WeightsError(f"{path} is not a torch checkpoint, or damaged: {message}") from error


def _check_archive(path: Path) -> None:
    """Compare each member of a zip archive with its checksum, at which torch does not look.

    Raises WeightsError where one differs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            expanded = sum(each.file_size for each in archive.infolist())
            WEIGHTS.check(expanded, f"{path}, expanded", WeightsError)
            # of a folder torch would read nothing, and take what lies in memory for the tensor
            folders = (
                each.filename
                for each in archive.infolist()
                if each.file_size and (each.external_attr & _FOLDER or each.is_dir())
            )
            damaged = archive.testzip() or next(folders, None)
    except WeightsError:
        raise
    except Exception as error:  # a damaged archive may be anything to zipfile
        raise WeightsError(
            f"{path} is not a torch checkpoint, or damaged: {error}; fetch it again"
        ) from error
    if damaged is not None:
        raise WeightsError(
            f"{path} is damaged: {damaged} is not what the archive states of it (checksum, kind); "
            "fetch it again (a file that was saved without checksums: save it "
            "again with torch.serialization.set_crc32_options(True))"
        )


def _is_tar(path: Path) -> bool:
    """Return whether a file has the format of torch before 0.1.10."""
    return path.stat().st_size > 0 and tarfile.is_tarfile(path)


def _named_tensors(content: Any, depth: int = _DEPTH) -> dict[str, Tensor]:
    """Return the state_dict, under one of the usual names (a tensor beside it is not one of its
    own) or at the top."""
    if not isinstance(content, Mapping) or not depth:
        return {}
    for holder in _HOLDERS:
        if isinstance(content.get(holder), Mapping):
            return _named_tensors(content[holder], depth - 1)
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _check_tensors(path: Path, state: Mapping[str, Tensor]) -> None:
    """Raise WeightsError for tensors of a kind that no network has, or that are larger than their
    bytes in the file and than the bound."""
    expanded = 0
    for name, value in state.items():
        strided = value.layout == torch.strided and value.device.type == "cpu"
        if not strided or value.is_quantized or value.is_nested or value.is_complex():
            kind = f"{value.layout} on {value.device.type}, {value.dtype}".replace("torch.", "")
            raise WeightsError(
                f"{path} holds {name} as a tensor of another kind ({kind}): expected dense real "
                "numbers; save it again with value.to_dense() or value.dequantize()"
            )
        expanded += value.numel() * max(value.element_size(), 4)
    WEIGHTS.check(expanded, f"{path}, its tensors in float32", WeightsError)


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    while prefix := next((each for each in _PREFIXES if all(map(_begins(each), state))), ""):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _begins(prefix: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(prefix)


def _float32(value: Tensor) -> Tensor:
    return value.detach().float().contiguous() if value.is_floating_point() else value


def _describe(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a dict of {', '.join(map(str, list(content)[:6])) or 'nothing'}"
    return f"a {type(content).__name__}"
