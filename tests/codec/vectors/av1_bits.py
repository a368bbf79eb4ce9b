"""Streams of AV1 headers written bit by bit, for the tests of the reader of headers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KEY, INTER, INTRA_ONLY, SWITCH = range(4)
SEQUENCE, DELIMITER, FRAME_HEADER, REDUNDANT, FRAME, PADDING = 1, 2, 3, 7, 6, 15
WIDTH, HEIGHT = 640, 360
ORDER_BITS = 7


class Writer:
    """Bits as they are written, the most significant first."""

    def __init__(self) -> None:
        self.text = ""

    def put(self, value: int, count: int = 1) -> Writer:
        if count:
            assert 0 <= value < 1 << count
            self.text += f"{value:0{count}b}"
        return self

    def bytes(self) -> bytes:
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def unit(kind: int, content: bytes = b"", sized: bool = True, layers: int | None = None) -> bytes:
    head = kind << 3 | (layers is not None) << 2 | sized << 1
    size, groups = len(content), []
    while sized:
        groups.append(size & 127 | (128 if size > 127 else 0))
        size >>= 7
        if not size:
            break
    return bytes([head, *([] if layers is None else [layers]), *groups]) + content


@dataclass
class Stream:
    """The settings of a sequence, and its headers as the specification writes them."""

    order_bits: int = ORDER_BITS
    superres: bool = False
    ids: bool = False
    timing: bool = False
    screen_content: int = 0
    made: list[bytes] = field(default_factory=list)

    def sequence(self) -> bytes:
        w = Writer().put(0, 3).put(0).put(0)
        w.put(int(self.timing))
        if self.timing:
            w.put(1, 32).put(30, 32).put(0)  # not at equal intervals
            w.put(1).put(9, 5).put(1, 32).put(11, 5).put(13, 5)  # decoder model: 10, 12 and 14 bits
        w.put(0).put(0, 5)  # no delays, one operating point
        w.put(0, 12).put(8, 5).put(0)  # a level that has tiers
        if self.timing:
            w.put(1).put(5, 10).put(6, 10).put(0)
        w.put(9, 4).put(8, 4).put(WIDTH - 1, 10).put(HEIGHT - 1, 9)
        w.put(int(self.ids))
        if self.ids:
            w.put(3, 4).put(2, 3)  # differences of 5 bits, numbers of 8
        w.put(0b101, 3).put(0b0110, 4).put(int(self.order_bits > 0))
        if self.order_bits:
            w.put(0b11, 2)
        if self.screen_content == 2:
            w.put(1).put(1)
        else:
            w.put(0).put(self.screen_content)
            if self.screen_content:
                w.put(0).put(1)
        if self.order_bits:
            w.put(self.order_bits - 1, 3)
        return unit(SEQUENCE, w.put(int(self.superres)).put(0, 10).bytes())

    def frame(
        self, kind: int, order: int, refresh: int = 0, slots: tuple[int, ...] = (0, ) * 7, *,
        show: bool = True,
        showable: bool = False, resilient: bool = False, short: tuple[int, int] | None = None,
        held: tuple[int, ...] = (),
        size: tuple[int, int] | None = None, size_from: int | None = None, as_unit: int = FRAME,
    ) -> bytes:  # fmt: skip
        w = Writer().put(0).put(kind, 2).put(int(show))
        if show and self.timing:
            w.put(77, 14)
        if not show:
            w.put(int(showable))
        whole = kind == SWITCH or (kind == KEY and show)
        if not whole:
            w.put(int(resilient))
        intra = kind in (KEY, INTRA_ONLY)
        w.put(0)
        if self.screen_content == 2:
            w.put(1).put(0)
        w.put(order & 255, 8 if self.ids else 0)
        own_size = size is not None or size_from is not None
        if kind != SWITCH:
            w.put(int(own_size))
        w.put(order % (1 << self.order_bits) if self.order_bits else 0, self.order_bits)
        if not intra and not resilient and kind != SWITCH:
            w.put(3, 3)
        if self.timing:
            w.put(1).put(5, 12)
        if not whole:
            w.put(refresh, 8)
        if (resilient or kind == SWITCH) and (not intra or refresh != 255) and self.order_bits:
            for hint in held:
                w.put(hint, self.order_bits)
        if not intra:
            if self.order_bits:
                w.put(int(short is not None))
                if short is not None:
                    w.put(short[0], 3).put(short[1], 3)
            for slot in slots:
                if short is None:
                    w.put(slot, 3)
                if self.ids:
                    w.put(4, 5)
            if own_size and not resilient and kind != SWITCH:
                for name in range(7 if size_from is None else size_from + 1):
                    w.put(int(name == size_from))
        if size is not None:
            w.put(size[0] - 1, 10).put(size[1] - 1, 9)
        if self.superres:
            w.put(int(size is not None))
        return unit(as_unit, w.put(0, 40).bytes())

    def existing(self, slot: int) -> bytes:
        w = Writer().put(1).put(slot, 3)
        if self.timing:
            w.put(77, 14)
        return unit(FRAME_HEADER, w.put(0, 8 if self.ids else 0).bytes())


def displays(picture: Any) -> list[int]:
    return [other.display for other in picture.references]
