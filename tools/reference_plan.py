"""The plan of the reference results, ``reference_results.toml``: what is measured."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any

_ALTERNATIVES = re.compile(r"\{([^{}]*)\}")


def expanded(text: str) -> list[str]:
    """Return every text that alternatives in braces stand for: ``a{1,2}`` is ``a1`` and ``a2``."""
    pieces = _ALTERNATIVES.split(text)
    # every second piece stood in braces
    choices = [piece.split(",") if place % 2 else [piece] for place, piece in enumerate(pieces)]
    return ["".join(each) for each in itertools.product(*choices)]


@dataclass(frozen=True)
class Measurement:
    """One call of ``bench.py run``: methods x codecs on one dataset under one protocol; ``data``
    names the folder that it needs, empty for none."""

    name: str
    dataset: str
    data: str
    methods: tuple[str, ...]
    codecs: tuple[str, ...]
    protocol: str

    def command(self, folder: str, runs: str) -> list[str]:
        """Return the arguments of ``bench.py`` that measure it."""
        arguments = ["run", "-d", self.dataset, "--protocol", self.protocol, "--runs", runs]
        if self.data:
            arguments += ["--data-root", folder]
        for codec in self.codecs:
            arguments += ["-c", codec]
        for method in self.methods:
            arguments += ["-m", method]
        return arguments


def measurements(plan: dict[str, Any]) -> list[Measurement]:
    """Return the plan's measurements, alternatives written out."""
    return [
        Measurement(
            item["name"],
            item["dataset"],
            item.get("data", ""),
            tuple(method for name in item["methods"] for method in plan["methods"][name]),
            tuple(codec for text in item["codecs"] for codec in expanded(text)),
            item.get("protocol", "dense"),
        )
        for item in plan["measurements"]
    ]
