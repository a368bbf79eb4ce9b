"""Encoders and decoders change nothing that belongs to the whole process, or to the machine."""

from __future__ import annotations

import ctypes
import gc
import json
import locale
import os
import resource
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vssbench.core.video import Image

if not Path("/proc/self/task").is_dir():
    pytest.skip("threads and their state are read from /proc", allow_module_level=True)

#: a video file of pictures for people, which is written in this process
MOVIE = "movie"
CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mpeg2", "raw", "h264[motion=estimated]", MOVIE)
#: how the line begins that says that vectors cannot be read
REFUSED = "no vectors: "
#: encodes and decodes before the second look and between it and the third; the most that memory may
#: grow meanwhile, MB
FIRST, MORE, GROWTH = 3, 10, 24


def snapshot() -> dict[str, Any]:
    """Return all that is the process's own and must stay."""
    # first: the C library installs handlers of its own with the first thread
    products = denormals()
    library = ctypes.CDLL(None)
    names = ctypes.POINTER(ctypes.c_char_p).in_dll(library, "environ")
    variables = []
    while (entry := names[len(variables)]) is not None:
        variables.append(entry.decode(errors="replace"))
    library.setlocale.restype = ctypes.c_char_p
    umask = os.umask(0)
    os.umask(umask)
    status = Path("/proc/self/status").read_text().splitlines()
    return {
        "scheduling": of_each(
            lambda thread: (
                f"{os.sched_getscheduler(thread)} {os.sched_getparam(thread).sched_priority}"
            )
        ),
        "affinity": of_each(lambda thread: str(sorted(os.sched_getaffinity(thread)))),
        "niceness": of_each(lambda thread: os.getpriority(os.PRIO_PROCESS, thread)),
        "environment": sorted(variables),
        "environment in Python": dict(os.environ),
        "locale": [locale.setlocale(locale.LC_ALL), library.setlocale(6, None).decode()],
        "signals": [line for line in status if line.startswith(("SigBlk", "SigIgn", "SigCgt"))],
        "denormals": products,
        "rounding": library.fegetround(),
        "exceptions": library.fegetexcept(),
        "umask": umask,
        "folder": os.getcwd(),
        "limits": [resource.getrlimit(number) for number in range(16)],
        "rights": [
            line
            for line in status
            if line.startswith(("Cap", "Uid", "Gid", "Groups", "NoNewPrivs"))
        ],
        "streams": [os.readlink(f"/proc/self/fd/{number}") for number in range(3)],
    }


def of_each(query: Callable[[int], Any]) -> list[Any]:
    """Return the distinct answers of all threads; one that ends meanwhile has none."""
    answers = set()
    for thread in everyone():
        with suppress(ProcessLookupError):
            answers.add(query(thread))
    return sorted(answers)


def everyone() -> list[int]:
    """The threads of this process and of its children, by number."""
    found = []
    waiting = [os.getpid()]
    while waiting:
        try:
            threads = list(Path(f"/proc/{waiting.pop()}/task").iterdir())
        except FileNotFoundError:  # a process that ended since it was named
            continue
        for thread in threads:
            try:
                children = (thread / "children").read_text().split()
            except (FileNotFoundError, ProcessLookupError):  # it ended since it was listed
                continue
            found.append(int(thread.name))
            waiting += map(int, children)
    return found


def denormals() -> list[float]:
    """Products that are 0 where the processor flushes denormals: in this thread, and in one that it
    starts."""
    products: list[float] = []

    def multiply() -> None:
        products.append(float("2.2250738585072014e-308") * float("0.25"))

    multiply()
    thread = threading.Thread(target=multiply)
    thread.start()
    thread.join()
    return products


def held() -> dict[str, Any]:
    """Return what must not pile up: open files, threads and memory in MB, the encoder's process's
    with them."""
    gc.collect()
    processes = set()
    for thread in everyone():
        with suppress(FileNotFoundError, ProcessLookupError):  # one that ends meanwhile
            status = Path(f"/proc/{thread}/status").read_text()
            processes.add(int(status.split("Tgid:")[1].split()[0]))
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in processes)
    files = sum(len(os.listdir(f"/proc/{process}/fd")) for process in processes)
    return {
        "files": files,
        "threads": len(everyone()),
        "memory": pages * resource.getpagesize() / 1e6,
    }


def use(name: str) -> Callable[[], None]:
    """Return a function that encodes and decodes a small clip with motion, as an experiment does;
    without, and with a line on stderr, where its vectors cannot be read on this machine."""
    from vssbench.codec.vectors.proof import pan
    from vssbench.core import registry
    from vssbench.core.errors import MotionUnavailable
    from vssbench.core.variant import parse_variant
    from vssbench.core.video import Clip

    images = list(pan(6, 96, 128, (2.25, -1.5)))
    if name == MOVIE:
        return lambda: movie(images)
    clip = Clip("pan", len(images), 96, 128, 30.0, images.__getitem__, lambda index: None, "pan")

    def once() -> None:
        codec = registry.create("codecs", parse_variant(name))
        motion = codec.has_motion
        try:
            frames = list(codec.frames(clip, motion=motion))
        except MotionUnavailable as error:
            print(f"{REFUSED}{error}", file=sys.stderr)
            motion = False
            frames = list(codec.frames(clip, motion=motion))
        assert len(frames) == len(images)
        if motion:
            assert all(frame.motion is not None for frame in frames)

    return once


def movie(images: Sequence[Image]) -> None:
    """Write the images to a video file."""
    from PIL import Image as Pillow

    from vssbench.view.moviefile import write_movie

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.mp4"
        write_movie(map(Pillow.fromarray, images), path, 25)
        assert path.stat().st_size > 0


def main(name: str) -> None:
    """Print what was before, after a first use, and what is held after the first uses and after
    more."""
    before = snapshot()
    once = use(name)
    for _ in range(FIRST):
        once()
    after, first = snapshot(), held()
    for _ in range(MORE):
        once()
    print(json.dumps({"before": before, "after": after, "first": first, "last": held()}))


@pytest.fixture(scope="module")
def looks() -> Callable[[str], dict[str, Any]]:
    """Return what ``main`` prints for a codec, in a fresh process that no other test has
    changed."""
    known: dict[str, dict[str, Any]] = {}

    def look(name: str) -> dict[str, Any]:
        if name not in known:
            path, module = [str(Path(__file__).parent), *sys.path], Path(__file__).stem
            program = (
                f"import sys; sys.path[:] = {path!r}; import {module} as test; test.main({name!r})"
            )
            done = subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            for line in set(done.stderr.splitlines()):
                if line.startswith(REFUSED):
                    warnings.warn(f"{name} without its vectors: {line}", stacklevel=1)
            known[name] = json.loads(done.stdout)
        return known[name]

    return look


def test_every_codec_is_tried() -> None:
    from vssbench.core import registry
    from vssbench.core.variant import parse_variant

    tried = {parse_variant(name).name for name in CODECS if name != MOVIE}
    assert tried == set(registry.plugins("codecs"))


@pytest.mark.parametrize("codec", CODECS)
def test_the_process_is_the_same_after_as_before(
    codec: str, looks: Callable[[str], dict[str, Any]]
) -> None:
    found = looks(codec)
    assert found["after"] == found["before"]
    assert found["after"]["denormals"] == [5.562684646268003e-309] * 2


@pytest.mark.parametrize("codec", CODECS)
def test_nothing_piles_up(codec: str, looks: Callable[[str], dict[str, Any]]) -> None:
    first, last = looks(codec)["first"], looks(codec)["last"]
    assert (last["files"], last["threads"]) == (first["files"], first["threads"])
    assert last["memory"] - first["memory"] < GROWTH
