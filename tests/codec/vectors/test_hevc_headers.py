"""HEVC headers: bits, NAL units, parameter sets and reference picture sets, as the syntax tables of
H.265 have them."""

from __future__ import annotations

import random

import pytest

from tests.codec.vectors.hevc_syntax import Writer, random_sets, write_pps, write_sps
from vssbench.codec.vectors.hevc_headers import (
    SPS,
    Bits,
    configuration,
    nal_header,
    picture_parameters,
    sequence_parameters,
    split,
)
from vssbench.core.errors import DataError


@pytest.mark.parametrize("seed", range(60))
def test_parameter_sets_are_read_as_they_were_written(seed: int) -> None:
    rng = random.Random(seed)
    written, meant = random_sets(rng, rng.randrange(7))
    nal, its = write_sps(rng, written)
    number, found = sequence_parameters(Bits(nal, "an SPS"))
    assert (number, found.width, found.height, found.sets) == (
        its["id"],
        its["width"],
        its["height"],
        tuple(meant),
    )
    across, down = {1: (2, 2), 2: (2, 1), 3: (1, 1)}[its["colours"]]
    crop = its["crop"] or (0, 0, 0, 0)
    assert found.crop == (crop[0] * across, crop[1] * across, crop[2] * down, crop[3] * down)
    assert (found.log2_min_block, found.log2_ctb, found.log2_lsb) == (
        3,
        3 + its["difference"],
        its["log2_lsb"],
    )
    side = 1 << found.log2_ctb
    assert found.ctbs == ((its["height"] + side - 1) // side, (its["width"] + side - 1) // side)
    assert (found.colours, found.separate_planes, found.offset_filter) == (
        its["colours"],
        its["separate"],
        its["sao"],
    )
    assert (found.long_term, found.temporal_vectors) == (its["long"], its["temporal"])
    assert found.long_term_candidates == tuple(its["candidates"])
    nal, its = write_pps(rng, 5)
    number, picture = picture_parameters(Bits(nal, "a PPS"))
    assert (number, picture.sequence, picture.dependent_slices) == (its["id"], 5, its["dependent"])
    assert (picture.output_flag, picture.extra_bits, picture.active) == (
        its["output"],
        its["extra"],
        its["active"],
    )
    assert (picture.tiles, picture.modification) == (its["tiles"], its["modification"])


@pytest.mark.parametrize("seed", range(20))
def test_cut_or_flipped_parameter_sets_are_refused_in_words_or_read(seed: int) -> None:
    rng = random.Random(seed)
    refused = 0
    for nal, read in (
        (write_sps(rng, random_sets(rng, 4)[0])[0], sequence_parameters),
        (write_pps(rng, 0)[0], picture_parameters),
    ):
        for length in range(2, len(nal) - 2, 1 + len(nal) // 100):
            with pytest.raises(DataError, match="broken"):
                read(Bits(nal[:length], "a parameter set"))
        for _ in range(100):
            data = bytearray(nal)
            for _ in range(rng.choice((1, 3, 20))):
                data[rng.randrange(2, len(data))] ^= 1 << rng.randrange(8)
            try:
                read(Bits(bytes(data), "a parameter set"))
            except DataError:
                refused += 1
    assert refused > 20


def test_another_profile_is_refused() -> None:
    nal, _ = write_sps(random.Random(0), [], profile=9)
    with pytest.raises(DataError, match="profile 9, expected 1 to 4"):
        sequence_parameters(Bits(nal, "an SPS"))


def test_numbers_are_read_as_the_standard_codes_them() -> None:
    w = Writer()
    unsigned, signed = [0, 1, 2, 3, 7, 8, 254, 65535, (1 << 32) - 2], [0, 1, -1, 2, -2, 1000, -1000]
    w.ue(*unsigned)
    for value in signed:
        w.se(value)
    bits = Bits(w.nal(SPS), "a test")
    assert [bits.number("number") for _ in unsigned] == unsigned
    assert [bits.signed("number") for _ in signed] == signed
    with pytest.raises(
        DataError, match="a test of the HEVC stream is broken: its x is 7, expected 6 at most"
    ):
        Bits(b"\0\0" + bytes([0b00010000]), "a test").number("x", 6)
    with pytest.raises(DataError, match="its x does not read"):
        Bits(bytes(12) + b"\1", "a test").number("x")


def test_emulation_prevention_is_taken_out() -> None:
    w = Writer()
    content = [0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 3, 0, 0, 0, 3, 3, 0, 0]
    for byte in content:
        w.u(8, byte)
    nal = w.nal(SPS)
    assert b"\0\0\0" not in nal
    assert b"\0\0\1" not in nal
    bits = Bits(nal, "a test")
    assert [bits.read(8) for _ in content] == content


def test_nal_units_are_split_either_way() -> None:
    units = [bytes([kind << 1, 1]) + bytes(range(1, kind + 2)) for kind in (1, 5, 33)]
    annex_b = b"\0\0\0\1" + units[0] + b"\0\0\1" + units[1] + b"\0\0\0\0\1" + units[2] + b"\0\0"
    assert split(annex_b, None) == units
    for size in (1, 2, 4):
        packed = b"".join(len(unit).to_bytes(size, "big") + unit for unit in units)
        assert split(packed, size) == units
        for length in range(1, len(packed)):
            if length not in (size + len(units[0]), 2 * size + len(units[0]) + len(units[1])):
                with pytest.raises(DataError, match=r"cut short|no valid header"):
                    split(packed[:length], size)
    assert split(b"", 4) == split(b"", None) == []
    with pytest.raises(DataError, match="no valid header"):
        split(b"\0\0\1\xff\1\1", None)


def test_a_nal_header_tells_type_layer_and_temporal_id() -> None:
    assert nal_header(Writer().nal(21, layer=37, temporal=4)) == (21, 37, 4)


def test_the_decoder_configuration_is_read() -> None:
    units = [write_sps(random.Random(1), [])[0], write_pps(random.Random(1), 0)[0]]
    arrays = b"".join(
        bytes([kind]) + b"\0\1" + len(unit).to_bytes(2, "big") + unit
        for kind, unit in zip((33, 34), units, strict=True)
    )
    data = bytes([1, *[0] * 20, 0xFF, 2]) + arrays
    assert configuration(data) == (units, 4)
    assert configuration(b"\0\0\0\1" + b"\0\0\1".join(units)) == (units, None)
    assert configuration(None) == configuration(b"") == ([], None)
    for length in range(1, len(data)):
        with pytest.raises(DataError, match="configuration of the HEVC stream"):
            configuration(data[:length])
