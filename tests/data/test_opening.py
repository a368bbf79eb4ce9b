"""Opening a video for reading: in every release of PyAV, whatever a file's metadata hold."""

from __future__ import annotations

import ast
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import vssbench
from vssbench.codec.contents import contents
from vssbench.codec.decode import decode
from vssbench.data import opening
from vssbench.data.footage import footage
from vssbench.data.opening import open_video
from vssbench.data.videofile import open_videofile, pictures

TEXT, NO_TEXT = b"cafXYZ", b"caf\xe9\xff\xfe"

READERS: dict[str, Callable[[Path], object]] = {
    "decode": lambda path: list(decode(path, None)),
    "segment": open_videofile,
    "codec show": contents,
    "footage": footage,
    "datasets": lambda path: list(pictures(path)),
}


def video(form: str) -> bytes:
    """A video whose titles, its own and its stream's, are no text."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.metadata["title"] = stream.metadata["title"] = TEXT.decode()
        for _ in range(3):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24"))
            )
        container.mux(stream.encode())
    data = file.getvalue()
    assert TEXT in data
    return data.replace(TEXT, NO_TEXT)


@pytest.mark.parametrize("form", ["matroska", "mp4", "avi"])
@pytest.mark.parametrize("reader", READERS)
def test_metadata_that_are_no_text_are_no_matter(form: str, reader: str, tmp_path: Path) -> None:
    path = tmp_path / "clip"
    path.write_bytes(video(form))
    READERS[reader](path)
    with open_video(str(path)) as container:
        assert container.metadata["title"].encode("utf-8", "surrogateescape") == NO_TEXT


@pytest.mark.parametrize(
    ("version", "options"),
    [("18.1.0", {"metadata_errors": "surrogateescape"}), ("19.0.2", {}), ("20.0.0rc1", {})],
)
def test_each_release_gets_the_options_that_it_has(
    version: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(opening.av, "__version__", version)
    monkeypatch.setattr(
        opening.av, "open", lambda source, mode, **given: calls.append((source, mode, given))
    )
    open_video("clip.mkv")
    assert calls == [("clip.mkv", "r", options)]


def test_no_file_is_opened_for_reading_otherwise() -> None:
    found = {}
    for path in Path(vssbench.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "av.open":
                call = ast.unparse(node)
                if "'w'" not in call:
                    found[path.name] = call
    assert found == {"opening.py": "av.open(source, 'r', **options)"}
