"""The cache of bitstreams: a limit that spares what is in use, and one encode for many readers."""

from __future__ import annotations

import os
import threading

import pytest

from vssbench.codec import bitstream as bitstreams
from vssbench.codec import cache as caches
from vssbench.codec.bitstream import bitstream
from vssbench.codec.quality import CodedFrame
from vssbench.core.errors import DataError


def keep(folder, name: str, size: int, used: int):
    path = folder / f"{name}.0123456789abcdef.mkv"
    path.write_bytes(b"x" * size)
    path.with_suffix(".json").write_bytes(b"[]")
    os.utime(path, (used, used))
    return path


def test_the_longest_unread_goes_first_and_what_is_in_use_stays(tmp_path):
    paths = [keep(tmp_path, name, 98, used) for name, used in (("a", 1), ("b", 3), ("c", 2))]
    assert [stream.key for stream in caches.kept(tmp_path)] == ["a", "c", "b"]
    assert caches.limit(tmp_path) is None
    assert caches.trim(tmp_path) == 0
    with caches.in_use(tmp_path, "a"):
        assert caches.set_limit(tmp_path, 200) == 100
    assert [path.exists() for path in paths] == [True, True, False]
    assert [path.with_suffix(".json").exists() for path in paths] == [True, True, False]
    assert caches.limit(tmp_path) == 200
    with caches.in_use(tmp_path, "b"):
        assert caches.clear(tmp_path) == (100, 1)
    assert caches.set_limit(tmp_path, None) == 0
    assert caches.limit(tmp_path) is None


@pytest.mark.parametrize("text", ["{", "{}", '{"bytes": "much"}', '{"bytes": -1}'])
def test_a_limit_that_does_not_read_is_said(tmp_path, text):
    (tmp_path / "limit.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"limit\.json does not read: .*set the limit anew"):
        caches.trim(tmp_path)


@pytest.fixture
def encodes(monkeypatch):
    """Replace the encoder by one that writes a few bytes when it is let."""
    encoded, let = [], threading.Event()

    def write(clip, settings, path, fps):
        encoded.append(clip.name)
        assert let.wait(60)
        path.write_bytes(clip.name.encode() * 10)
        return [CodedFrame("I", 1.0, 1.0)] * clip.length

    monkeypatch.setattr(bitstreams, "_write", write)
    monkeypatch.setattr(bitstreams, "cache_key", lambda clip, settings, fps: clip.name)
    return encoded, let


def test_a_stream_that_many_need_is_encoded_once(tmp_path, patterns, encodes):
    encoded, let = encodes
    clip = patterns.clips()[0]
    read = []

    def reader():
        with bitstream(clip, None, tmp_path) as stream:
            read.append(stream.path.read_bytes())

    readers = [threading.Thread(target=reader) for _ in range(4)]
    for each in readers:
        each.start()
    let.set()
    for each in readers:
        each.join()
    assert encoded == [clip.name]
    assert read == [clip.name.encode() * 10] * 4


def test_the_limit_holds_after_each_encode(tmp_path, patterns, encodes):
    encoded, let = encodes
    let.set()
    caches.set_limit(tmp_path, 1)
    first, second = patterns.clips()
    with bitstream(first, None, tmp_path) as one:
        with bitstream(second, None, tmp_path):
            assert one.path.exists()
        with bitstream(second, None, tmp_path) as two:
            assert one.path.exists()
            assert two.path.exists()
    assert encoded == [first.name, second.name]
    third = patterns.training_clips()[0]
    with bitstream(third, None, tmp_path):
        assert [stream.key for stream in caches.kept(tmp_path)] == [third.name]
