"""Abilities of this machine's codecs: encoder, decoder, source of vectors.

Results of their self-tests are part of it.
"""

from __future__ import annotations

import ctypes
import io
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.encode import encode
from vssbench.codec.encoded import EncodedCodec
from vssbench.codec.spec import Codec
from vssbench.codec.vectors import proof
from vssbench.codec.vectors.estimated import EstimatedVectors
from vssbench.codec.vectors.reader import VectorReader
from vssbench.core import registry
from vssbench.core.errors import MotionUnavailable, UsageError, VssbenchError
from vssbench.core.variant import Variant

#: the name under which ``probe`` takes motion estimated from the pictures
ESTIMATED = "estimated"
#: shown in this order, others behind, uncompressed video last
_ORDER = ("h264", "hevc", "vp9", "av1", "mpeg4", "mpeg2")
_LAST = "raw"
#: the pan on which speed is measured: frames, height and width
_LENGTH, _HEIGHT, _WIDTH = 12, 240, 320
#: encoder or decoder of FFmpeg -> file name of its library, and the function (or variable, without
#: brackets) with its version
_LIBRARIES = {
    "libx264": ("libx264", ""),
    "libx265": ("libx265", "x265_version_str"),
    "libvpx-vp9": ("libvpx", "vpx_codec_version_str()"),
    "libsvtav1": ("libSvtAv1Enc", "svt_av1_get_version()"),
    "libdav1d": ("libdav1d", "dav1d_version()"),
}


@dataclass(frozen=True)
class Ability:
    """The ability of a codec on this machine.

    ``encoder``, ``decoder`` and ``vectors`` are words with versions, empty where there is none;
    ``proves`` tells whether the reader looks into a decoder's memory, so that it must prove itself;
    ``missing`` says what is not there and how to get it.
    """

    codec: str
    title: str
    encoder: str
    decoder: str
    vectors: str
    proves: bool
    options: dict[str, Any]
    missing: str


@dataclass(frozen=True)
class Trial:
    """The result of a self-test.

    ``right`` and ``covered`` are those of proof.Proof; times are milliseconds a frame of a pan of
    320x240 pixels, encoding with its check and decoding without and with vectors; None where
    nothing was measured. ``reason`` is empty where the vectors can be used.
    """

    codec: str
    vectors: str
    right: float | None = None
    covered: float | None = None
    encode_ms: float | None = None
    decode_ms: float | None = None
    vectors_ms: float | None = None
    reason: str = ""


def ordered(names: Iterable[str]) -> list[str]:
    """Return codecs' names in the order in which they are shown."""
    rank = {name: place for place, name in enumerate(_ORDER)}
    return sorted(names, key=lambda name: (name == _LAST, rank.get(name, len(rank)), name))


def common_options(abilities: Sequence[Ability]) -> dict[str, Any]:
    """Return the options that more than half of the codecs with options have, with the default that
    most of these have."""
    having = [each.options for each in abilities if each.options]
    names = dict.fromkeys(name for options in having for name in options)
    shared = {}
    for name in names:
        defaults = [options[name] for options in having if name in options]
        if 2 * len(defaults) > len(having) > 1:
            shared[name] = max(defaults, key=defaults.count)
    return shared


def ability(name: str) -> Ability:
    """Return the ability of the codec of that name; nothing is encoded.

    Raises UsageError where no codec has that name.
    """
    registry.find("codecs", name)
    try:
        cls = registry.load("codecs", name)
        codec = cls()
    except VssbenchError as error:
        return Ability(name, name, "", "", "", False, {}, str(error))
    options = registry.parameters(cls)
    if not isinstance(codec, EncodedCodec):
        return Ability(name, codec.title, "", "", "", False, options, "")
    missing: list[str] = []
    encoder, decoder = _coders(codec, missing)
    vectors = _source(codec.reader, missing)
    return Ability(
        name,
        codec.title,
        encoder,
        decoder,
        vectors,
        codec.reader.private,
        options,
        "; ".join(missing),
    )


def estimated() -> Ability:
    """Return the ability to estimate motion from the pictures of any codec."""
    missing: list[str] = []
    vectors = _source(EstimatedVectors, missing)
    return Ability(
        ESTIMATED, "any codec with motion=estimated", "", "", vectors, False, {}, "; ".join(missing)
    )


def _coders(codec: EncodedCodec, missing: list[str]) -> tuple[str, str]:
    """Return encoder and decoder in words; adds to ``missing``."""
    name = codec.encoder().encoder
    try:
        canonical = av.codec.Codec(name, "w").canonical_name
    except av.codec.codec.UnknownCodecError:
        missing.append(
            f"PyAV {av.__version__} was built without the encoder {name}: install the wheel, pip "
            "install av"
        )
        return "", ""
    decoder = codec.reader.decoder or av.codec.Codec(canonical, "r").name
    return _with_version(name), _with_version(decoder)


def _source(reader: type[VectorReader], missing: list[str]) -> str:
    try:
        return reader.check()
    except MotionUnavailable as reason:
        missing.append(str(reason))
        return ""


def _with_version(coder: str) -> str:
    """Return a coder's name with its version, such as ``libx265 (4.2)``.

    FFmpeg's own coders have libavcodec's version.
    """
    if coder not in _LIBRARIES:
        return f"{coder} (libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))})"
    version = library_version(*_LIBRARIES[coder])
    return f"{coder} ({version})" if version else coder


def library_version(file_name: str, symbol: str) -> str:
    """Return the version that a shared library in this process gives of itself, empty where it
    cannot be had.

    Without a symbol it is the number behind ``.so``, which is x264's own count of versions.
    """
    path = _loaded(file_name)
    if path is None:
        return ""
    if not symbol:
        return f"build {path.name.rpartition('.so.')[2]}"
    try:
        library = ctypes.CDLL(str(path))
        if symbol.endswith("()"):
            function = getattr(library, symbol.removesuffix("()"))
            function.restype = ctypes.c_char_p
            text = function()
        else:
            text = ctypes.c_char_p.in_dll(library, symbol).value
    except (OSError, AttributeError, ValueError):
        return ""
    return (text or b"").decode(errors="replace").removeprefix("v")


def _loaded(file_name: str) -> Path | None:
    """Return the file of a shared library that this process has loaded, where the system tells
    (Linux)."""
    pattern = re.compile(rf"/\S*/{re.escape(file_name)}[-.]\S*$", re.MULTILINE)
    try:
        match = pattern.search(
            Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
        )
    except OSError:
        return None
    return Path(match[0]) if match else None


def probe(variant: Variant) -> Trial:
    """Run the self-test of a codec, or of ``estimated``. Raises UsageError for a name or parameters
    that do not exist."""
    if variant.name == ESTIMATED and ESTIMATED not in registry.plugins("codecs"):
        if variant.params:
            raise UsageError(
                f"{ESTIMATED} takes no parameters; put motion=estimated into a codec's brackets"
            )
        return _tried(ESTIMATED, _estimating(_any_codec()))
    codec: Codec = registry.create("codecs", variant)
    source = getattr(codec, "source", "codec")
    if source == "estimated":
        return _tried(
            str(variant), _estimating(codec if isinstance(codec, EncodedCodec) else _any_codec())
        )
    if not isinstance(codec, EncodedCodec):
        return Trial(
            str(variant),
            "",
            reason=f"{codec.title}: no motion vectors of its own; motion=estimated gives motion",
        )
    if source == "none" or codec.refusal():
        return Trial(
            str(variant), "", reason=codec.refusal() or "motion=none: it was asked to carry none"
        )
    return _tried(str(variant), codec)


def _any_codec() -> EncodedCodec:
    """Return a codec on whose pictures motion is estimated."""
    for codec in registry.made("codecs", ordered(registry.plugins("codecs"))):
        if isinstance(codec, EncodedCodec):
            return codec
    raise UsageError("no codec with an encoder is installed: reinstall vssbench")


def _estimating(codec: EncodedCodec) -> EncodedCodec:
    """Return the codec with the estimator as the reader of its vectors, so that it takes the same
    test."""
    cls = type(codec)
    made: type[EncodedCodec] = type(
        cls.__name__, (cls,), {"name": f"{codec.name} {ESTIMATED}", "reader": EstimatedVectors}
    )
    return made()


def _tried(name: str, codec: EncodedCodec) -> Trial:
    missing: list[str] = []
    vectors = _source(codec.reader, missing)
    proved = proof.prove(codec)
    if not proved.covered and proved.reason:
        return Trial(name, vectors, reason=proved.reason)
    return Trial(
        name,
        vectors,
        proved.right,
        proved.covered,
        *_times(codec, not proved.reason),
        reason=proved.reason,
    )


def _times(codec: EncodedCodec, readable: bool) -> tuple[float, float, float | None]:
    """Return milliseconds a frame of encoding, decoding, and decoding with vectors."""
    stream = io.BytesIO()
    started = time.perf_counter()
    encode(proof.pan(_LENGTH, _HEIGHT, _WIDTH, proof.MOTION), stream, codec.encoder(), proof.FPS)
    times: list[float | None] = [time.perf_counter() - started]
    for source in (None, MotionSource(codec.reader, codec.motion)):
        stream.seek(0)
        started = time.perf_counter()
        if source is None or readable:
            for _ in decode(stream, codec.gop, source, _LENGTH, (_HEIGHT, _WIDTH)):
                pass
            times.append(time.perf_counter() - started)
        else:
            times.append(None)
    encoding, decoding, vectors = (
        None if each is None else 1000 * each / _LENGTH for each in times
    )
    assert encoding is not None
    assert decoding is not None
    return encoding, decoding, vectors
