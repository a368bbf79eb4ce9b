"""Seeded mutations of files: bytes, texts, JSON, arrays. The same seed gives the same input."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

#: values that stand in for any value of a record
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 0.5, -0.0, 1e308, 1e12, "", "x",
    "\x1b[2J", "a" * 4000, "../../etc/passwd", "/etc", "nan", "[", "pspnet[", "x[y=z]", [],
    {}, [[]], [None], [1, 2, 3], {"a": {}}, ["road", "road"], "\u202e", [{"a": 1}], "1" * 5000,
)  # fmt: skip
#: arrays that stand in for any array of a record
ARRAYS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda a: a.astype(np.float64),
    lambda a: a.astype(np.float32) + np.float32(0.5),
    lambda a: np.full(a.shape, np.nan),
    lambda a: np.full(a.shape, np.inf),
    lambda a: a.astype(np.int8),
    lambda a: a.astype(np.uint64),
    lambda a: a.astype(np.complex64),
    lambda a: a.astype("U8"),
    lambda a: a.astype("S3"),
    lambda a: a.astype(bool),
    lambda a: np.full(a.shape, "2020-01-01", "datetime64[s]"),
    lambda a: np.zeros(a.shape, [("a", int), ("b", float)]),
    lambda a: np.full(a.shape, -1, np.int64),
    lambda a: np.full(a.shape, 10**12, np.int64),
    lambda a: np.full(a.shape, 2**63 - 1, np.int64),
    lambda a: np.full(a.shape, 2**64 - 1, np.uint64),
    lambda a: a[:-1] if a.ndim else a,
    lambda a: a[:0] if a.ndim else a,
    lambda a: a[None],
    lambda a: a.reshape(-1),
    lambda a: np.zeros(()),
    lambda a: np.zeros((0, 0, 0), np.int64),
    lambda a: np.zeros((3, 0, 0), np.int64),
    lambda a: np.repeat(a, 3, 0) if a.ndim else a,
    lambda a: np.swapaxes(a, 0, -1) if a.ndim > 1 else a,
    lambda a: a.astype(">i8"),
    lambda a: np.asfortranarray(a),
)  # fmt: skip


def of_bytes(content: bytes, rng: random.Random) -> bytes:
    """Flip, cut, repeat, insert or overwrite."""
    kind = rng.randrange(7)
    data = bytearray(content)
    at = rng.randrange(len(data) + 1)
    if kind == 0:
        for _ in range(rng.choice((1, 1, 1, 4, 32))):
            if data:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        data[at:at] = data[: rng.randrange(1, 4096)]
    elif kind == 3:
        data[at:at] = rng.randbytes(rng.randrange(1, 64))
    elif kind == 4:
        data[at : at + rng.randrange(1, 64)] = bytes(rng.randrange(1, 64))
    elif kind == 5:
        data[at : at + 8] = rng.choice((b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\0" * 8))
    else:
        del data[: rng.randrange(1, 64)]
    return bytes(data)


def of_text(content: bytes, rng: random.Random) -> bytes:
    """Change bytes, or lines: swapped, repeated, very long, of odd letters."""
    if rng.random() < 0.4:
        return of_bytes(content, rng)
    lines = content.splitlines() or [b""]
    at = rng.randrange(len(lines))
    odd: tuple[bytes, ...] = (
        b"", b"\0", b"x" * 100_000, b"\xff\xfe", b"\x1b[31m", b"../..", b"/etc", b"/dev/zero",
        b",,,,", b"1" * 5000, b"-1", b"nan", b"a = [" * 300, b"'", b'"""', b"=", b"\xef\xbb\xbf",
        b"[[[[", b"#", "\u0661\u00b2".encode(),
    )  # fmt: skip
    kind = rng.randrange(4)
    if kind == 0:
        lines[at] = rng.choice(odd)
    elif kind == 1:
        lines[at] = lines[at] + rng.choice(odd)
    elif kind == 2:
        lines.insert(at, rng.choice(odd))
    else:
        lines = lines * rng.choice((2, 50, 1000))
    return b"\n".join(lines) + b"\n"


def of_json(content: bytes, rng: random.Random) -> bytes:
    """Change bytes, or one value or key at any depth."""
    if rng.random() < 0.2:
        return of_bytes(content, rng)
    record = json.loads(content)
    places: list[tuple[Any, Any]] = []
    _places(record, places)
    holder, key = rng.choice(places)
    kind = rng.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice(("x", "", "\x1b", key + " "))] = holder.pop(key)
    else:
        holder[key] = rng.choice(ODD)
    text = json.dumps(record)
    if rng.random() < 0.1:
        text = text.replace(
            ": 0", f": {rng.choice(('9' * 5000, 'NaN', 'Infinity', '-0', '1e999'))}"
        )
    if rng.random() < 0.05:
        text = '{"a":' * 5000 + text
    return text.encode(errors="surrogatepass")


def _places(value: Any, places: list[tuple[Any, Any]]) -> None:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, each in items:
        places.append((value, key))
        _places(each, places)


def of_arrays(content: bytes, rng: random.Random) -> bytes:
    """Change bytes, one array, or the archive's members."""
    if rng.random() < 0.3:
        return of_bytes(content, rng)
    with np.load(io.BytesIO(content)) as file:
        arrays = dict(file)
    name = rng.choice(sorted(arrays))
    kind = rng.randrange(8)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays["further"] = arrays[name]
    elif kind == 2:
        values = arrays[name].copy().reshape(-1)
        if values.size and values.dtype.kind in "iu":
            values[rng.randrange(values.size)] = rng.choice((0, 1, 200, 100))
            if values.dtype == np.int64:
                values[rng.randrange(values.size)] = rng.choice((-1, 10**12, 2**62, 10**6))
        elif values.size and values.dtype.kind == "f":
            values[rng.randrange(values.size)] = rng.choice((np.nan, np.inf, -np.inf, 1e308, -1.0))
        arrays[name] = values.reshape(arrays[name].shape)
    elif kind == 3:
        return huge(name, arrays, rng)
    else:
        try:
            arrays[name] = rng.choice(ARRAYS)(arrays[name])
        except (TypeError, ValueError, OverflowError):
            arrays[name] = np.zeros(3)
    made = io.BytesIO()
    rng.choice((np.savez, np.savez_compressed))(made, **arrays)
    return made.getvalue()


def huge(name: str, arrays: dict[str, np.ndarray], rng: random.Random) -> bytes:
    """An archive that states or holds an array of another size than it has."""
    header = io.BytesIO()
    shape = rng.choice(((10**12,), (10**5, 10**3, 10**3), (2**40, 2**40), (1 << 24,), (-5,)))
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<i8", "fortran_order": False, "shape": shape}
    )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, values in arrays.items():
            held = io.BytesIO()
            np.save(held, values)
            archive.writestr(f"{each}.npy", header.getvalue() if each == name else held.getvalue())
        if rng.random() < 0.3:
            archive.writestr("twice.npy", header.getvalue() + bytes(1 << 20))
    return made.getvalue()
