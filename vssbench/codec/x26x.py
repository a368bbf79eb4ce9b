"""The common base of H.264 and HEVC, as x264 and x265 encode them.

These are presets, the scale of quality, and an exact GOP.
"""

from __future__ import annotations

from collections.abc import Mapping

from vssbench.codec.encoded import EncodedCodec


class X26xCodec(EncodedCodec):
    """One pass of x264 or x265, which take the same presets and, for a GOP, the same parameters."""

    crf_range = qp_range = (0, 51)
    quality_range = (18, 40)
    presets = (
        "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower",
        "veryslow", "placebo",
    )  # fmt: skip
    most_bframes = 16

    def options(self, further: Mapping[str, int | str]) -> dict[str, str]:
        """Return FFmpeg's options: preset, rate, and the library's parameters, those of the exact
        GOP before the ``further`` ones."""
        parameters: dict[str, int | str] = {
            "keyint": self.gop,
            "min-keyint": self.gop,
            "scenecut": 0,
            "open-gop": 0,
            "ref": self.refs,
            "bframes": self.bframes,
            "b-adapt": 0,
            **further,
        }
        options = {
            "preset": self.preset,
            f"{self.library}-params": ":".join(
                f"{key}={value}" for key, value in parameters.items()
            ),
        }
        if self.rate.crf is not None:
            options["crf"] = f"{self.rate.crf:g}"
        if self.rate.qp is not None:
            options["qp"] = str(self.rate.qp)
        return options
