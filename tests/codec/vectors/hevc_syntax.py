"""Writes HEVC headers bit by bit, by the syntax tables of H.265: what the tests of their readers
read."""

from __future__ import annotations

import random
from typing import Any

from vssbench.codec.vectors.hevc_headers import PPS, SPS, ShortTermSet


class Writer:
    """Writes a NAL unit bit by bit."""

    def __init__(self) -> None:
        self.bits = ""

    def u(self, count: int, value: int) -> None:
        assert 0 <= value < 1 << count
        self.bits += format(value, f"0{count}b") if count else ""

    def ue(self, *values: int) -> None:
        for value in values:
            code = format(value + 1, "b")
            self.bits += "0" * (len(code) - 1) + code

    def se(self, value: int) -> None:
        self.ue(2 * value - 1 if value > 0 else -2 * value)

    def nal(self, kind: int, layer: int = 0, temporal: int = 0) -> bytes:
        """The NAL unit with header, stop bit and emulation prevention."""
        bits = self.bits + "1"
        bits += "0" * (-len(bits) % 8)
        payload, zeros = bytearray(), 0
        for place in range(0, len(bits), 8):
            byte = int(bits[place : place + 8], 2)
            if zeros == 2 and byte <= 3:
                payload.append(3)
                zeros = 0
            payload.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return bytes([kind << 1 | layer >> 5, (layer & 31) << 3 | (temporal + 1)]) + bytes(payload)


def write_sps(
    rng: random.Random, sets: list[dict[str, Any]], **given: Any
) -> tuple[bytes, dict[str, Any]]:
    """An SPS of random content by table 7.3.2.2.1, and what was written."""
    its: dict[str, Any] = {
        "id": rng.randrange(16), "layers": rng.randrange(3), "profile": rng.choice((1, 2, 4)),
        "colours": rng.choice((1, 1, 2, 3)),
        "width": 8 * rng.randint(1, 300), "height": 8 * rng.randint(1, 300),
        "crop": rng.choice((None, (0, 1, 0, 3))),
        "log2_lsb": rng.randint(4, 16), "log2_min": 3, "difference": rng.randrange(1, 4),
        "sao": rng.randrange(2),
        "pcm": rng.randrange(2), "scaling": rng.randrange(3), "long": rng.randrange(2),
        "temporal": rng.randrange(2),
    } | given  # fmt: skip
    its["separate"] = rng.randrange(2) if its["colours"] == 3 else 0
    w = Writer()
    w.u(4, 0), w.u(3, its["layers"]), w.u(1, 1)
    w.u(3, 0), w.u(5, its["profile"]), w.u(32, rng.getrandbits(32)), w.u(48, 0), w.u(8, 93)
    present = [(rng.randrange(2), rng.randrange(2)) for _ in range(its["layers"])]
    for profile, level in present:
        w.u(1, profile), w.u(1, level)
    w.u(2 * (8 - its["layers"]) if its["layers"] else 0, 0)
    for profile, level in present:
        w.u(88 * profile, rng.getrandbits(88) * profile), w.u(8 * level, 90 * level)
    w.ue(its["id"], its["colours"])
    if its["colours"] == 3:
        w.u(1, its["separate"])
    w.ue(its["width"], its["height"])
    w.u(1, its["crop"] is not None)
    w.ue(*(its["crop"] or ()))
    w.ue(0, 0, its["log2_lsb"] - 4)
    each = rng.randrange(2)
    w.u(1, each)
    for _ in range(its["layers"] + 1 if each else 1):
        w.ue(4, 2, 0)
    w.ue(its["log2_min"] - 3, its["difference"], 0, 3, 2, 2)
    w.u(1, its["scaling"] > 0)
    if its["scaling"]:
        w.u(1, its["scaling"] > 1)
        if its["scaling"] > 1:
            write_scaling_lists(w, rng)
    w.u(1, 1), w.u(1, its["sao"]), w.u(1, its["pcm"])
    if its["pcm"]:
        w.u(8, 0x77), w.ue(0, 2), w.u(1, 0)
    w.ue(len(sets))
    for index, chosen in enumerate(sets):
        write_set(w, chosen, index, len(sets))
    w.u(1, its["long"])
    its["candidates"] = [
        (rng.randrange(1 << its["log2_lsb"]), rng.randrange(2))
        for _ in range(rng.randrange(3) * its["long"])
    ]
    if its["long"]:
        w.ue(len(its["candidates"]))
        for lsb, used in its["candidates"]:
            w.u(its["log2_lsb"], lsb), w.u(1, used)
    w.u(1, its["temporal"]), w.u(1, 0), w.u(1, 0), w.u(1, 0)
    return w.nal(SPS), its


def write_scaling_lists(w: Writer, rng: random.Random) -> None:
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            coded = rng.randrange(2)
            w.u(1, coded)
            if not coded:
                w.ue(0)
                continue
            if size > 1:
                w.se(rng.randint(-7, 100))
            for _ in range(16 if size == 0 else 64):
                w.se(rng.randint(-128, 127))


def write_set(w: Writer, chosen: dict[str, Any], index: int, count: int) -> None:
    """A short-term reference picture set by table 7.3.7: explicit, or predicted from an earlier
    one."""
    if index:
        w.u(1, "back" in chosen)
    if "back" in chosen:
        if index == count:
            w.ue(chosen["back"] - 1)
        w.u(1, chosen["move"] < 0), w.ue(abs(chosen["move"]) - 1)
        for used, kept in chosen["flags"]:
            w.u(1, used)
            if not used:
                w.u(1, kept)
        return
    w.ue(len(chosen["before"]), len(chosen["after"]))
    for half in (chosen["before"], chosen["after"]):
        last = 0
        for delta, used in half:
            w.ue(abs(delta - last) - 1), w.u(1, used)
            last = delta


def predicted(source: ShortTermSet, move: int, flags: list[tuple[int, int]]) -> ShortTermSet:
    """Equations (7-61) and (7-62), loop by loop."""
    s0, s1 = [delta for delta, _ in source.before], [delta for delta, _ in source.after]
    use = [used or kept for used, kept in flags]
    before, after = [], []
    for j in range(len(s1) - 1, -1, -1):
        if s1[j] + move < 0 and use[len(s0) + j]:
            before.append((s1[j] + move, bool(flags[len(s0) + j][0])))
    if move < 0 and use[-1]:
        before.append((move, bool(flags[-1][0])))
    for j in range(len(s0)):
        if s0[j] + move < 0 and use[j]:
            before.append((s0[j] + move, bool(flags[j][0])))
    for j in range(len(s0) - 1, -1, -1):
        if s0[j] + move > 0 and use[j]:
            after.append((s0[j] + move, bool(flags[j][0])))
    if move > 0 and use[-1]:
        after.append((move, bool(flags[-1][0])))
    for j in range(len(s1)):
        if s1[j] + move > 0 and use[len(s0) + j]:
            after.append((s1[j] + move, bool(flags[len(s0) + j][0])))
    return ShortTermSet(tuple(before), tuple(after))


def random_sets(rng: random.Random, count: int) -> tuple[list[dict[str, Any]], list[ShortTermSet]]:
    """Sets as they are written, and as they are meant."""
    written: list[dict[str, Any]] = []
    meant: list[ShortTermSet] = []
    for index in range(count):
        if index and rng.random() < 0.6:
            source, move = meant[index - 1], rng.choice((-3, -2, -1, 1, 2, 3))
            flags = [
                (rng.randrange(2), rng.randrange(2))
                for _ in range(len(source.before) + len(source.after) + 1)
            ]
            written.append({"back": 1, "move": move, "flags": flags})
            meant.append(predicted(source, move, flags))
            continue
        before = sorted(rng.sample(range(-9, 0), rng.randrange(4)), reverse=True)
        after = sorted(rng.sample(range(1, 9), rng.randrange(4)))
        halves = [[(delta, bool(rng.randrange(2))) for delta in half] for half in (before, after)]
        written.append({"before": halves[0], "after": halves[1]})
        meant.append(ShortTermSet(tuple(halves[0]), tuple(halves[1])))
    return written, meant


def write_pps(rng: random.Random, sequence: int, **given: Any) -> tuple[bytes, dict[str, Any]]:
    """A PPS of random content by table 7.3.2.3.1, and what was written."""
    its: dict[str, Any] = {
        "id": rng.randrange(64), "dependent": rng.randrange(2), "output": rng.randrange(2),
        "extra": rng.randrange(3),
        "active": (rng.randint(1, 4), rng.randint(1, 4)), "tiles": rng.randrange(2),
        "modification": rng.randrange(2),
    } | given  # fmt: skip
    w = Writer()
    w.ue(its["id"], sequence)
    w.u(1, its["dependent"]), w.u(1, its["output"]), w.u(3, its["extra"]), w.u(2, 1)
    w.ue(its["active"][0] - 1, its["active"][1] - 1), w.se(rng.randint(-26, 25)), w.u(2, 0)
    depth = rng.randrange(2)
    (
        w.u(1, depth),
        w.ue(*[1] * depth),
        w.se(rng.randint(-12, 12)),
        w.se(rng.randint(-12, 12)),
        w.u(4, 6),
    )
    w.u(1, its["tiles"]), w.u(1, 0)
    if its["tiles"]:
        uniform = rng.randrange(2)
        w.ue(1, 2), w.u(1, uniform), w.ue(*[0, 0, 0] * (1 - uniform)), w.u(1, 1)
    w.u(1, 1)
    deblocking = rng.randrange(2)
    w.u(1, deblocking)
    if deblocking:
        off = rng.randrange(2)
        w.u(1, 0), w.u(1, off)
        if not off:
            w.se(-2), w.se(3)
    lists = rng.randrange(2)
    w.u(1, lists)
    if lists:
        write_scaling_lists(w, rng)
    w.u(1, its["modification"]), w.ue(0), w.u(1, 0), w.u(1, 0)
    return w.nal(PPS), its
