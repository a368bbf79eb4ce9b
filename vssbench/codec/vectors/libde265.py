"""HEVC's motion vectors, read from the memory of libde265, a second decoder that runs beside
FFmpeg's."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import importlib.util
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np

from vssbench.codec.vectors.hevc_headers import (
    END_OF_BITSTREAM,
    END_OF_SEQUENCE,
    PPS,
    SLICES,
    SPS,
    VPS,
    SequenceParameters,
    configuration,
    nal_header,
    split,
)
from vssbench.codec.vectors.hevc_pictures import Picture, Pictures
from vssbench.codec.vectors.libde265_image import FoundVectors, Layout, find, read
from vssbench.codec.vectors.reader import BlockVectors, VectorReader, no_vectors
from vssbench.core.errors import DataError, MotionUnavailable
from vssbench.core.motion import NONE

_INSTALL = (
    "pip install 'vssbench[hevc]' (it brings libde265 inside pillow-heif), or use motion=estimated"
)
#: parameters of de265.h: leave out the in-loop filters, which change pixels and not vectors
_FILTERS = (7, 8)
_WAITING_FOR_INPUT = 13
#: calls of the decoder for one packet, many more than it ever needs
_MOST_CALLS = 10_000
#: NAL units that it gets: no others bear on vectors
_DECODED = (VPS, SPS, PPS, *SLICES, END_OF_SEQUENCE, END_OF_BITSTREAM)

_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "de265_get_version": (ctypes.c_char_p, []),
    "de265_new_decoder": (ctypes.c_void_p, []),
    "de265_free_decoder": (ctypes.c_int, [ctypes.c_void_p]),
    "de265_set_parameter_bool": (None, [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]),
    "de265_push_NAL": (
        ctypes.c_int,
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p],
    ),
    "de265_push_end_of_frame": (None, [ctypes.c_void_p]),
    "de265_decode": (ctypes.c_int, [ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)]),
    "de265_get_next_picture": (ctypes.c_void_p, [ctypes.c_void_p]),
    "de265_get_image_PTS": (ctypes.c_int64, [ctypes.c_void_p]),
    "de265_get_warning": (ctypes.c_int, [ctypes.c_void_p]),
    "de265_get_error_text": (ctypes.c_char_p, [ctypes.c_int]),
}


@dataclass(frozen=True)
class Library:
    """libde265, loaded; ``origin`` says where it was found."""

    calls: Any
    origin: str

    @property
    def title(self) -> str:
        """The library in words, such as ``libde265 1.1.3 of pillow-heif 1.8.1``."""
        return f"libde265 {self.calls.de265_get_version().decode()} of {self.origin}"

    @cached_property
    def build(self) -> str:
        """The library in words, with the beginning of the sha256 of its file."""
        path = _loaded_from(self.calls._name)
        if path is None:
            return self.title
        return f"{self.title}, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"

    def text(self, error: int) -> str:
        """Return the meaning of an error code of the library."""
        return (self.calls.de265_get_error_text(error) or b"unknown error").decode()


@cache
def library() -> Library:
    """Return libde265 from pillow-heif, pylibde265 or the system, whichever is found first. Raises
    MotionUnavailable."""
    for path, origin in _candidates():
        try:
            calls = ctypes.CDLL(path)
            for name, (result, arguments) in _FUNCTIONS.items():
                function = getattr(calls, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError):
            continue
        return Library(calls, origin)
    raise MotionUnavailable(f"HEVC's motion vectors need libde265, which was not found: {_INSTALL}")


def _candidates() -> Iterator[tuple[str, str]]:
    """Yield paths that may be libde265, with the names of those who brought it.

    Nothing is imported.
    """
    for package, folder, pattern in (
        ("pillow_heif", "../pillow_heif.libs", "libde265*.so*"),
        ("pylibde265", ".", "_de265*.so"),
    ):
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted((Path(place) / folder).glob(pattern)):
                yield str(path), _version(package.replace("_", "-"))
    yield "libde265.so.0", "the system"


def _loaded_from(name: str) -> Path | None:
    """Return the file of a loaded library; of one that was asked for by its name alone, the
    system's (Linux tells)."""
    if Path(name).is_file():
        return Path(name)
    try:
        mapped = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    paths = (Path(line.split(maxsplit=5)[-1]) for line in mapped if "/libde265" in line)
    return next((path for path in paths if path.is_file()), None)


def _version(distribution: str) -> str:
    try:
        return f"{distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        return distribution


class Decoder:
    """One decoder of libde265: access units in, pictures out at once, each beside the access unit
    that codes it."""

    def __init__(self, source: Library) -> None:
        self._library, self._calls = source, source.calls
        self._address: int | None = self._calls.de265_new_decoder()
        if not self._address:
            raise MotionUnavailable(
                f"{source.title} could not be started: out of memory; use motion=estimated"
            )
        for parameter in _FILTERS:
            self._calls.de265_set_parameter_bool(self._address, parameter, 1)

    def decode(self, nals: list[bytes], number: int) -> Iterator[int]:
        """Decode an access unit; yields the picture's address, valid until the next step. Raises
        DataError."""
        for nal in nals:
            self._fail_on(self._calls.de265_push_NAL(self._address, nal, len(nal), number, None))
        # the end of the access unit, at which libde265 also hands out what it would reorder
        self._calls.de265_push_end_of_frame(self._address)
        more = ctypes.c_int(1)
        for _ in range(_MOST_CALLS):
            error = self._calls.de265_decode(self._address, ctypes.byref(more))
            if error != _WAITING_FOR_INPUT:
                self._fail_on(error)
            self._fail_on(self._calls.de265_get_warning(self._address))
            while image := self._calls.de265_get_next_picture(self._address):
                if self._calls.de265_get_image_PTS(image) != number:
                    raise DataError(
                        f"{self._library.title} gave another picture than was asked for: the "
                        "stream is broken; encode it again"
                    )
                yield image
            if not more.value or error == _WAITING_FOR_INPUT:
                return
        raise DataError(
            f"{self._library.title} does not come to an end with a picture: the stream is broken; "
            "encode it again"
        )

    def close(self) -> None:
        """Free the decoder and its pictures."""
        address, self._address = self._address, None
        if address:
            self._calls.de265_free_decoder(address)

    def _fail_on(self, error: int) -> None:
        if error:
            raise DataError(
                f"{self._library.title}, which reads the vectors, found the HEVC stream broken: "
                f"{self._library.text(error)}; encode it again"
            )


@dataclass(eq=False)
class _Coded:
    """A picture on its way to its display index. ``found`` is None where it has no vectors."""

    picture: Picture
    found: FoundVectors | None
    index: int = NONE

    def at(self, poc: int) -> tuple[int, int]:
        """Return the name of a picture of the same coded video sequence."""
        return self.picture.sequence, poc


class LibDe265Vectors(VectorReader):
    """Every vector of an HEVC stream, list 0 and list 1, each with the picture that it points to.

    libde265 decodes beside FFmpeg, without in-loop filters. The slice headers give the reference
    lists; pictures of the two decoders are matched by time stamp. B-frames, several references and
    B-pyramids are all resolved.
    """

    private = True
    dear = True

    @classmethod
    def library(cls) -> str:
        """See VectorReader."""
        try:
            return library().build
        except MotionUnavailable:
            return ""

    def __init__(self, height: int, width: int, cell: int) -> None:
        super().__init__(height, width, cell)
        self._pictures = Pictures()
        self._configuration: list[bytes] = []
        self._length_size: int | None = None
        self._decoder: Decoder | None = None
        self._layout: tuple[SequenceParameters, Layout] | None = None
        self._number = 0
        self._coded: dict[int, _Coded] = {}
        self._waiting: deque[_Coded] = deque()
        self._indices: dict[tuple[int, int], int] = {}

    @classmethod
    def check(cls) -> str:
        """See VectorReader."""
        return library().title

    def prepare(self, context: av.VideoCodecContext) -> None:
        """See VectorReader."""
        self._configuration, self._length_size = configuration(context.extradata)
        self._pictures.parameter_sets(self._configuration)
        self._decoder = Decoder(library())

    def packet(self, packet: av.Packet) -> None:
        """See VectorReader. Raises DataError where libde265 finds a fault, or no picture, in it."""
        assert self._decoder is not None
        nals = [nal for nal in split(bytes(packet), self._length_size) if nal_header(nal)[1] == 0]
        picture = self._pictures.access_unit(nals)
        if not picture.decodable:
            return
        self._check(picture)
        if packet.pts is None or packet.pts in self._coded:
            raise DataError(
                "pictures of the HEVC stream have no time stamps of their own, expected a "
                "container as mkv or mp4"
            )
        nals = [nal for nal in self._configuration + nals if nal_header(nal)[0] in _DECODED]
        self._configuration = []
        taken = [self._read(image, picture) for image in self._decoder.decode(nals, self._number)]
        if len(taken) != 1:
            raise DataError(
                f"libde265 gave {len(taken)} pictures for one packet: the HEVC stream is broken; "
                "encode it again"
            )
        self._number += 1
        self._coded[packet.pts] = _Coded(picture, taken[0])

    def picture(
        self, index: int, picture: av.VideoFrame, context: av.VideoCodecContext
    ) -> Iterator[tuple[int, BlockVectors]]:
        """See VectorReader."""
        coded = None if picture.pts is None else self._coded.pop(picture.pts, None)
        if coded is None:
            raise DataError(
                f"FFmpeg shows a frame {index} that libde265 did not decode: the HEVC stream is "
                "broken; encode it again"
            )
        coded.index = index
        # nothing refers beyond the coded video sequence before this one
        if coded.picture.random_access:
            self._indices = {
                key: known
                for key, known in self._indices.items()
                if key[0] >= coded.picture.sequence - 1
            }
        self._indices[coded.at(coded.picture.poc)] = index
        self._waiting.append(coded)
        yield from self._complete()

    def finish(self) -> Iterator[tuple[int, BlockVectors]]:
        """See VectorReader: nothing waits at the end of a sound stream."""
        if self._waiting or self._coded:
            raise DataError(
                f"{len(self._waiting) + len(self._coded)} pictures of the HEVC stream refer to "
                "others that never came, or were never shown: it is cut short or broken; encode it "
                "again"
            )
        yield from ()

    def close(self) -> None:
        """See VectorReader."""
        if self._decoder is not None:
            self._decoder.close()

    def _check(self, picture: Picture) -> None:
        its = picture.parameters
        left, right, top, bottom = its.crop
        shown = (its.height - top - bottom, its.width - left - right)
        if left or top or shown[0] < self.height or shown[1] < self.width:
            raise DataError(
                f"the HEVC stream shows {shown[1]}x{shown[0]} pixels from ({left}, {top}) on, "
                f"expected {self.width}x{self.height} from (0, 0) on; encode it again"
            )

    def _read(self, image: int, picture: Picture) -> FoundVectors | None:
        if picture.type == "I":
            return None
        if self._layout is None or self._layout[0] != picture.parameters:
            self._layout = picture.parameters, find(image, picture.parameters)
        return read(image, self._layout[1], picture, self.height, self.width, self.cell)

    def _complete(self) -> Iterator[tuple[int, BlockVectors]]:
        while self._waiting:
            coded = self._waiting[0]
            lists = coded.found.pocs if coded.found is not None else []
            if any(
                poc is not None and coded.at(poc) not in self._indices
                for pocs in lists
                for poc in pocs
            ):
                return
            self._waiting.popleft()
            yield coded.index, self._named(coded)

    def _named(self, coded: _Coded) -> BlockVectors:
        """Return the picture's vectors with the display indices of those that they point to."""
        past = self._past(coded)
        if coded.found is None:
            return no_vectors(self.height, self.width, self.cell, past)
        tables = [
            np.array(
                [NONE if poc is None else self._indices[coded.at(poc)] for poc in pocs], np.int32
            )
            for pocs in coded.found.pocs
        ]
        references = [
            table.take(places) for table, places in zip(tables, coded.found.places, strict=True)
        ]
        return BlockVectors(coded.found.vectors, np.stack(references), past)

    def _past(self, coded: _Coded) -> int:
        """Return the nearest earlier picture that this one may refer to, by display index.

        If none of those is earlier, it is the nearest of all before this one.
        """
        picture = coded.picture
        if picture.random_access:
            return NONE
        earlier = [
            poc
            for poc in picture.references
            if poc < picture.poc and coded.at(poc) in self._indices
        ]
        if not earlier:
            earlier = [
                poc
                for sequence, poc in self._indices
                if sequence == picture.sequence and poc < picture.poc
            ]
        return self._indices[coded.at(max(earlier))] if earlier else NONE
