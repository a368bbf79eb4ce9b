"""Compress the plots and records of results that are kept in the repository better.

    python tools/repack_results.py results/reference

A plot has few colours: 256 of them make a third of the file, and nobody sees the difference. JSON
loses its blanks. Runs lie in one file, which `bench.py collect` compresses.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

from PIL import Image

from vssbench.core import files


def repacked_plot(content: bytes) -> bytes:
    """Return a PNG with the 256 colours that serve it best; the same bytes if no smaller."""
    packed = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        if image.mode == "P":
            return content
        palette = image.convert("RGB").quantize(
            256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        )
    palette.save(packed, "png", optimize=True)
    return min(content, packed.getvalue(), key=len)


def repacked_json(content: bytes) -> bytes:
    """Return the same JSON without blanks and line breaks."""
    packed = json.dumps(json.loads(content), separators=(",", ":"), ensure_ascii=False)
    return packed.encode()


#: what repacks a file, by the ending of its name
_REPACKED = {".png": repacked_plot, ".json": repacked_json}


def main(folder: Path) -> None:
    """Repack every .png and .json of a folder in place, each whole or not at all; print what
    was saved."""
    before = after = 0
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _REPACKED):
        content = path.read_bytes()
        packed = _REPACKED[path.suffix](content)
        if packed != content:
            files.write_bytes(path, packed)
        before, after = before + len(content), after + len(packed)
    print(f"{before / 2**20:.2f} MiB, now {after / 2**20:.2f} MiB")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python tools/repack_results.py FOLDER")
    main(Path(sys.argv[1]))
