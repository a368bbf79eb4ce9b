"""Weights without loss in less space: a packed file stands, byte for byte, for a plain weight file.

Half-precision weights hardly compress: most of their mantissa bits are noise. A packed file
therefore refers to other weight files beside it. A tensor that is the same there is not stored; of
one that was trained on from there only the difference is. Signs and exponents compress, so bytes
are stored by their place in a value: a tensor's first bytes, then all second ones, each in the
shortest of three codes. The first byte of what is stored tells which.

``sha256`` is that of the plain file. It is compared whenever the tensors are read, so that a
reference that changed is refused, and results measured with the plain file stay attributed.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vssbench.core.bounds import WEIGHTS
from vssbench.core.errors import VssbenchError
from vssbench.weights.record import MOST_PARTS

#: the key of a packed file's own record in its metadata
KEY = "packed"
#: bytes of the headers of a plain file's parts, each of which safetensors bounds
_HEADERS = 100_000_000

#: what LZMA codes weights with, without a head of its own: a byte's neighbours tell of its scale,
#: and no bit of its place does
_LZMA = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 0, "lp": 0, "pb": 0}]
#: the first byte of what LZMA coded, and of planes that are coded each by itself; zlib's is 0x78
_CODED, _APART = b"\1", b"\2"
#: bytes that tell how long a plane's code is
_LENGTH = 4

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


class Damaged(Exception):
    """The content of a packed file is not what was packed."""


@dataclass(frozen=True)
class Reference:
    """Another weight file that a packed file needs, and which of its tensors stand for which.

    ``same``: our names -> its names, equal bit by bit; ``near``: stored as a difference.
    """

    file: str
    sha256: str
    same: Mapping[str, str] = field(default_factory=dict)
    near: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """A packed file's own record: the plain file's sha256, how many files hold the packed one, and
    what it refers to."""

    sha256: str
    files: int
    references: tuple[Reference, ...]

    def text(self) -> str:
        """Return the record as it stands in the metadata."""
        return json.dumps(
            {
                "sha256": self.sha256,
                "files": self.files,
                "references": [vars(reference) for reference in self.references],
            }
        )


def read_record(text: str) -> Record:
    """Return the record that metadata hold. Raises ValueError, KeyError or TypeError otherwise."""
    try:
        entries = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(entries, dict) or not isinstance(entries["references"], list):
        raise TypeError("expected an object with a list of references")
    files, sha256 = entries["files"], entries["sha256"]
    if type(files) is not int or not 1 <= files <= MOST_PARTS:
        raise ValueError(f"files={files!r}; expected a whole number from 1 to {MOST_PARTS}")
    if not isinstance(sha256, str):
        raise TypeError(f"sha256={sha256!r}; expected a text")
    return Record(sha256, files, tuple(_reference(entry) for entry in entries["references"]))


def _reference(entry: Any) -> Reference:
    reference = Reference(**entry)
    if not isinstance(reference.file, str) or not isinstance(reference.sha256, str):
        raise TypeError("file and sha256 of a reference; expected texts")
    if not re.fullmatch(r"[^/\\\0]+", reference.file) or reference.file in (".", ".."):
        raise ValueError(f"{reference.file!r} is no plain file name")
    for names in (reference.same, reference.near):
        if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
            raise TypeError(f"{names!r}; expected an object of names")
    return reference


@dataclass(frozen=True)
class Plain:
    """The bytes of a plain weight file: for each of its parts the JSON header and the tensors in
    their stored types."""

    headers: Sequence[bytes]
    tensors: Mapping[str, Tensor]

    def content(self) -> Iterator[bytes]:
        """Yield the bytes of each part, in the order of the parts."""
        for header in self.headers:
            entries = json.loads(header)
            entries.pop("__metadata__", None)
            ordered = sorted(entries, key=lambda name: entries[name]["data_offsets"])
            yield b"".join(
                [len(header).to_bytes(8, "little"), header]
                + [_bytes(self.tensors[name]).tobytes() for name in ordered]
            )

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for part in self.content():
            digest.update(part)
        return digest.hexdigest()


def pack(
    plain: Plain, others: Sequence[tuple[Reference, Mapping[str, Tensor]]]
) -> tuple[dict[str, Tensor], tuple[Reference, ...]]:
    """Return what a packed file stores, as byte tensors, and its references.

    Each of ``others`` is a reference of which only file and sha256 are known, with its tensors in
    their stored types.
    """
    stored = {"": _packed([_shortest([_joined(plain.headers)])])}
    maps: list[tuple[dict[str, str], dict[str, str]]] = [({}, {}) for _ in others]
    for name, value in plain.tensors.items():
        best = _shortest(_planes(_bytes(value), value.element_size()))
        for (same, near), (_, tensors) in zip(maps, others, strict=True):
            theirs = next((n for n in _candidates(tensors, name) if _alike(tensors[n], value)), "")
            if theirs and np.array_equal(_bytes(tensors[theirs]), _bytes(value)):
                same[name], best = theirs, np.zeros(0, np.uint8)
                for _, further in maps:
                    further.pop(name, None)
                break
            if theirs and value.dtype == torch.float16:
                rest = _difference(_words(value), _words(tensors[theirs]))
                shorter = _shortest(_planes(rest.view(np.uint8), 2))
                if len(shorter) < len(best):
                    for _, further in maps:
                        further.pop(name, None)
                    near[name], best = theirs, shorter
        if len(best):
            stored[name] = _packed([best])
    references = tuple(
        Reference(other.file, other.sha256, same, near)
        for (other, _), (same, near) in zip(others, maps, strict=True)
        if same or near
    )
    return stored, references


def plain_metadata(headers: Tensor) -> dict[str, str]:
    """Return the metadata of the plain file whose headers a packed one stores. Raises Damaged where
    they do not read."""
    try:
        first = _split(_inflated(headers.numpy().tobytes(), _HEADERS))[0]
        metadata = json.loads(first)["__metadata__"]
        if not all(isinstance(value, str) for value in metadata.values()):
            raise TypeError("expected texts")
    except Exception as error:  # damaged bytes may be anything in every step
        raise Damaged(f"its header cannot be read: {error!r}") from error
    return metadata


def unpack(
    stored: Mapping[str, Tensor],
    record: Record,
    read: Callable[[Reference], Mapping[str, Tensor]],
) -> Plain:
    """Return the plain file that a packed one stands for; ``read`` gives a reference's tensors.

    Raises Damaged where the bytes are not those that were packed.
    """
    try:
        headers = _split(_inflated(stored[""].numpy().tobytes(), _HEADERS))
        same: dict[str, Tensor] = {}
        near: dict[str, Tensor] = {}
        for reference in record.references:
            tensors = read(reference)
            same |= {name: tensors[theirs] for name, theirs in reference.same.items()}
            near |= {name: tensors[theirs] for name, theirs in reference.near.items()}
        restored: dict[str, Tensor] = {}
        for header in headers:
            for name, entry in json.loads(header).items():
                if name == "__metadata__":
                    continue
                restored[name] = (
                    same[name]
                    if name in same
                    else _tensor(stored[name].numpy(), entry, near.get(name))
                )
        plain = Plain(headers, restored)
        digest = plain.sha256
    except VssbenchError:  # a reference's own
        raise
    except Exception as error:  # damaged bytes may be anything in every step
        raise Damaged(f"its content cannot be read: {error!r}") from error
    if digest != record.sha256:
        raise Damaged(f"its content has SHA-256 {digest} instead of {record.sha256}")
    return plain


def _inflated(packed: bytes, most: int) -> bytes:
    """Return what a stream holds. Raises ValueError where that is more than ``most`` bytes, or the
    stream is cut."""
    stream: Any
    if packed.startswith(_CODED):
        stream, packed = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_LZMA), packed[1:]
    else:
        stream = zlib.decompressobj()
    content: bytes = stream.decompress(packed, most + 1)
    if len(content) > most or not stream.eof:
        raise ValueError(f"a stream that does not end after {most} bytes")
    return content


def _apart(packed: bytes, size: int, count: int) -> bytes:
    """Return the planes of ``count`` values of ``size`` bytes, one after another. Raises ValueError
    where they are not as long."""
    if not packed.startswith(_APART):
        return _inflated(packed, size * count)
    planes, place = [], len(_APART)
    for _ in range(size):
        end = place + _LENGTH
        length = int.from_bytes(packed[place:end], "little")
        planes.append(_inflated(packed[end : end + length], count))
        place = end + length
    return b"".join(planes)


def _candidates(tensors: Mapping[str, Tensor], name: str) -> Iterator[str]:
    """Yield names of another file that a tensor may have there: its own, then those that share all
    but the first component (``high.psp.conv`` is ``net.psp.conv``)."""
    if name in tensors:
        yield name
    tail = name.partition(".")[2]
    yield from (other for other in tensors if tail and other.partition(".")[2] == tail)


def _alike(first: Tensor, second: Tensor) -> bool:
    return first.dtype == second.dtype and first.shape == second.shape


def _tensor(packed: Any, entry: Mapping[str, Any], base: Tensor | None) -> Tensor:
    """Return a tensor of its planes and its entry in the plain file's header."""
    dtype, shape = _DTYPES[entry["dtype"]], entry["shape"]
    size = torch.empty(0, dtype=dtype).element_size()
    if not all(isinstance(each, int) and each >= 0 for each in shape):
        raise ValueError(f"a tensor of shape {shape}")
    count = math.prod(shape)
    if not count:
        return torch.zeros(shape, dtype=dtype)
    WEIGHTS.check(size * count, f"a tensor of shape {shape}", ValueError)
    planes = np.frombuffer(_apart(packed.tobytes(), size, count), np.uint8)
    planes = planes.reshape(size, count)
    values = np.ascontiguousarray(planes.T).reshape(-1)
    if base is not None:
        values = _sum(values.view(np.uint16), _words(base)).view(np.uint8)
    return torch.from_numpy(values.copy()).view(dtype).reshape(shape)


def _bytes(value: Tensor) -> Any:
    if not value.numel():
        return np.zeros(0, np.uint8)
    return value.contiguous().reshape(-1).view(torch.uint8).numpy()


def content(value: Tensor) -> bytes:
    """Return a tensor's bytes, row by row."""
    return bytes(_bytes(value).tobytes())


def _words(value: Tensor) -> Any:
    return value.contiguous().reshape(-1).view(torch.int16).numpy().view(np.uint16)


def _packed(planes: Sequence[Any]) -> Tensor:
    return torch.from_numpy(np.concatenate(planes).copy())


def _planes(values: Any, size: int) -> list[bytes]:
    """Return all first bytes of values of ``size`` bytes, all second ones, and so on."""
    return [plane.tobytes() for plane in values.reshape(-1, size).T]


def _shortest(planes: Sequence[bytes]) -> Any:
    """Return the shortest code of planes: of all together, or of each by itself."""
    each = map(_coded, planes)
    apart = [_APART, *(len(code).to_bytes(_LENGTH, "little") + code for code in each)]
    return np.frombuffer(min(_coded(b"".join(planes)), b"".join(apart), key=len), np.uint8)


def _coded(content: bytes) -> bytes:
    """Return the shortest of three streams: Huffman codes suit bytes of which none tells anything
    of the next, LZMA those whose scale changes from channel to channel."""
    streams = [_CODED + lzma.compress(content, lzma.FORMAT_RAW, filters=_LZMA)]
    for strategy in (zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY):
        coder = zlib.compressobj(9, zlib.DEFLATED, 15, 9, strategy)
        streams.append(coder.compress(content) + coder.flush())
    return min(streams, key=len)


def _ordered(words: Any) -> Any:
    """Map the bits of half floats to integers in the order of the floats; none is lost."""
    negative = (words & 0x8000) != 0
    return np.where(negative, ~words, words | 0x8000).astype(np.uint16)


def _difference(words: Any, base: Any) -> Any:
    """Return small integers where two arrays of half floats lie near one another."""
    step = (_ordered(words) - _ordered(base)).astype(np.uint16)
    return ((step << 1) ^ (0 - (step >> 15))).astype(np.uint16)


def _sum(steps: Any, base: Any) -> Any:
    """Return the half floats of which :func:`_difference` made ``steps``."""
    step = ((steps >> 1) ^ (0 - (steps & 1))).astype(np.uint16)
    ordered = (_ordered(base) + step).astype(np.uint16)
    return np.where(ordered & 0x8000, ordered & 0x7FFF, ~ordered).astype(np.uint16)


def _joined(headers: Sequence[bytes]) -> bytes:
    return b"".join(len(header).to_bytes(8, "little") + header for header in headers)


def _split(content: bytes) -> list[bytes]:
    headers = []
    while content:
        size = int.from_bytes(content[:8], "little")
        headers.append(content[8 : 8 + size])
        content = content[8 + size :]
    return headers
