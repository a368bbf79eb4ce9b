"""The process in which encoders run: what reaches it and what comes back, and what becomes of one
that fails."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from vssbench.codec import apart
from vssbench.codec.encode import EncoderSettings, encode, encode_here
from vssbench.codec.formats.av1 import Av1
from vssbench.codec.formats.h264 import H264
from vssbench.codec.vectors.proof import pan
from vssbench.core.ahead import ahead
from vssbench.core.errors import DataError, UsageError
from vssbench.core.video import Image

Started = list[subprocess.Popen[bytes]]
HEIGHT, WIDTH = 96, 128


def images(length: int = 6) -> Iterator[Image]:
    return pan(length, HEIGHT, WIDTH, (2.25, -1.5))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """The encoders' processes of this test, none of which was there before."""
    apart.waiting.end()
    found: Started = []

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *arguments: object, **keywords: object) -> None:
            super().__init__(*arguments, **keywords)  # type: ignore[call-overload]
            found.append(self)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    return found


def test_the_stream_is_that_of_an_encode_in_this_process(tmp_path: Path) -> None:
    settings = H264(gop=5, bframes=1).encoder()
    there = encode(images(), tmp_path / "there.mkv", settings, 30)
    here = encode_here(images(), tmp_path / "here.mkv", settings, 30)
    assert there == here
    assert (tmp_path / "there.mkv").read_bytes() == (tmp_path / "here.mkv").read_bytes()
    memory = io.BytesIO()
    assert encode(images(), memory, settings, 30) == here
    assert memory.getvalue() == (tmp_path / "here.mkv").read_bytes()


def test_a_path_is_that_of_the_caller_wherever_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: Started
) -> None:
    for name in ("one", "two"):  # the same process, started in the first folder
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        encode(images(), Path("clip.mkv"), H264().encoder(), 30)
        assert (tmp_path / name / "clip.mkv").stat().st_size > 0
    assert len(started) == 1


def test_images_of_any_layout_in_memory_are_the_same() -> None:
    streams = [io.BytesIO() for _ in range(3)]
    plain = list(images())
    turned = [np.asfortranarray(image) for image in plain]
    mirrored = [np.ascontiguousarray(image[:, ::-1])[:, ::-1] for image in plain]
    for stream, clip in zip(streams, (plain, turned, mirrored), strict=True):
        encode(iter(clip), stream, H264().encoder(), 30)
    assert streams[0].getvalue() == streams[1].getvalue() == streams[2].getvalue()


def test_a_process_serves_small_encodes_and_ends_after_a_large_one(
    monkeypatch: pytest.MonkeyPatch, started: Started
) -> None:
    for _ in range(3):
        encode(images(), io.BytesIO(), H264().encoder(), 30)
    assert len(started) == 1
    assert started[0].poll() is None
    monkeypatch.setattr(apart, "KEPT_BYTES", 4 * 6 * HEIGHT * WIDTH * 3 - 1)
    encode(images(), io.BytesIO(), H264().encoder(), 30)
    assert [process.returncode for process in started] == [-signal.SIGKILL]


def test_one_that_died_while_it_waited_is_replaced(started: Started) -> None:
    encode(images(), io.BytesIO(), H264().encoder(), 30)
    started[0].kill()
    started[0].wait()
    assert len(encode(images(), io.BytesIO(), H264().encoder(), 30)) == 6
    assert len(started) == 2


def test_two_threads_have_a_process_each(started: Started) -> None:
    gate = threading.Barrier(2)

    def source() -> Iterator[Image]:
        for index, image in enumerate(images()):
            if index == 1:
                gate.wait(60)  # both are in the midst of an encode
            yield image

    streams = [io.BytesIO(), io.BytesIO()]
    threads = [
        threading.Thread(target=encode, args=(source(), stream, H264().encoder(), 30))
        for stream in streams
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert streams[0].getvalue() == streams[1].getvalue() != b""
    assert len(started) == 2


def interrupted(
    started: Started, act: Callable[[int], object], length: int = 200
) -> Iterator[Image]:
    """A clip during which something happens to the process that encodes it."""
    for index, image in enumerate(images(length)):
        if index == 20:  # beyond those that are made before it begins
            act(started[-1].pid)
        yield image


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGSEGV, "crashed (SIGSEGV)"),
        (signal.SIGABRT, "crashed (SIGABRT)"),
        (signal.SIGKILL, "was killed (SIGKILL), as happens where memory runs out"),
    ],
)
def test_an_encoder_that_crashes_is_one_clear_error(
    number: signal.Signals, words: str, started: Started
) -> None:
    with pytest.raises(
        DataError,
        match=re.escape(f"libx264, encoding {WIDTH}x{HEIGHT} frames, {words}: choose other"),
    ):
        encode(
            interrupted(started, lambda pid: os.kill(pid, number)),
            io.BytesIO(),
            H264().encoder(),
            30,
        )
    # and the next one is served
    assert len(encode(images(), io.BytesIO(), H264().encoder(), 30)) == 6


def test_an_encoder_that_leaves_its_process_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, started: Started
) -> None:
    monkeypatch.setattr(apart, "_PROGRAM", "raise SystemExit(7)")
    with pytest.raises(
        DataError, match=r"libx264, encoding 128x96 frames, left its process \(exit status 7\)"
    ):
        encode(images(200), io.BytesIO(), H264().encoder(), 30)


@pytest.mark.parametrize("name", ["STILL", "STUCK"])
def test_an_encoder_that_hangs_is_ended(
    name: str, monkeypatch: pytest.MonkeyPatch, started: Started
) -> None:
    """One that does nothing, and one that works without end."""
    monkeypatch.setattr(
        apart,
        "_PROGRAM",
        "import sys, time\nwhile True: " + ("time.sleep(9)" if name == "STILL" else "pass"),
    )
    monkeypatch.setattr(apart, name, 1.0)
    with pytest.raises(
        DataError, match=r"libx264, encoding 128x96 frames, made no progress for .* it hangs"
    ):
        encode(images(200), io.BytesIO(), H264().encoder(), 30)
    assert started[0].returncode == -signal.SIGKILL


def test_an_encoder_that_stalls_begins_again(
    monkeypatch: pytest.MonkeyPatch, started: Started
) -> None:
    """SVT-AV1 is known to, in one encode in some hundred; here its process is stopped."""
    whole = io.BytesIO()
    settings = Av1(gop=12).encoder()
    encode(images(40), whole, settings, 30)
    monkeypatch.setattr(apart, "STALLED", 1.0)
    again = io.BytesIO()
    stopped = interrupted(started, lambda pid: os.kill(pid, signal.SIGSTOP), 40)
    assert len(encode(stopped, again, settings, 30)) == 40
    assert again.getvalue() == whole.getvalue() != b""
    assert len(started) >= 2


def test_errors_are_those_of_the_encoder(started: Started) -> None:
    with pytest.raises(UsageError, match=r"lacks the encoder libnone: install the wheel"):
        encode(images(), io.BytesIO(), EncoderSettings("libnone", 12), 30)
    with pytest.raises(
        DataError,
        match=r"libx264 could not encode 128x96 frames at 30 frames/s: .*'preset': 'none'",
    ):
        encode(
            images(), io.BytesIO(), EncoderSettings("libx264", 12, options={"preset": "none"}), 30
        )
    with pytest.raises(DataError, match="could not encode"):
        encode(images(), Path("/nowhere/clip.mkv"), H264().encoder(), 30)
    assert None not in [process.poll() for process in started]


def test_an_error_that_none_foresaw_says_where_it_was() -> None:
    settings = EncoderSettings("libx264", 12, bframes="many")  # type: ignore[arg-type]
    with pytest.raises(TypeError) as caught:
        encode(images(), io.BytesIO(), settings, 30)
    assert "encode_here" in "".join(caught.value.__notes__)


def test_an_error_of_the_source_ends_the_encode(started: Started) -> None:
    def fail(pid: int) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        encode(interrupted(started, fail), io.BytesIO(), H264().encoder(), 30)
    assert [process.returncode for process in started] == [-signal.SIGKILL]


def test_ctrl_c_ends_the_encode_and_is_not_the_encoder_s_to_answer(started: Started) -> None:
    """The terminal sends it to both processes."""

    def interrupt(pid: int) -> None:
        os.kill(pid, signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        encode(interrupted(started, interrupt), io.BytesIO(), H264().encoder(), 30)
    assert [process.returncode for process in started] == [-signal.SIGKILL]


def test_an_encode_that_nobody_wants_any_more_ends(
    monkeypatch: pytest.MonkeyPatch, started: Started
) -> None:
    """Interrupting a run whose frames are made ahead ends an encoder that takes no images, too."""
    monkeypatch.setattr(apart, "_PROGRAM", "import time; time.sleep(1e6)")
    begun = threading.Event()

    def clip() -> Iterator[Image]:
        begun.set()
        yield from images(200)

    def frames() -> Iterator[int]:
        encode(clip(), io.BytesIO(), H264().encoder(), 30)
        yield 0

    with ahead(frames(), 1):
        begun.wait(60)
    assert [process.returncode for process in started] in ([], [-signal.SIGKILL])


def test_a_process_ends_with_the_one_that_it_serves() -> None:
    """However that ends, and though its encoder hangs."""
    program = (
        f"import sys, os, signal; sys.path[:] = {sys.path!r}\n"
        "from vssbench.codec import apart\n"
        "apart._PROGRAM = apart._PROGRAM.replace('; serve()', '; import threading, time; from "
        "vssbench.core.apart_process import end_with_input; "
        "threading.Thread(target=end_with_input, daemon=True).start(); time.sleep(1e6)')\n"
        "process = apart._Process(); print(process._child.pid, flush=True); os.kill(os.getpid(), "
        "signal.SIGKILL)"
    )
    # the pipe of its errors is open until the last of the two has ended
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert int(done.stdout) > 0


@pytest.mark.skipif(
    not hasattr(os, "sched_getscheduler"), reason="this system has no policies of scheduling"
)
def test_no_thread_is_ever_a_real_time_one(started: Started) -> None:
    """While SVT-AV1 encodes; as root it would make all threads of its process real-time ones."""
    found: list[int] = []

    def look(pid: int) -> None:
        for process in (pid, os.getpid()):
            found.extend(
                os.sched_getscheduler(int(thread)) for thread in os.listdir(f"/proc/{process}/task")
            )

    assert len(encode(interrupted(started, look, 40), io.BytesIO(), Av1().encoder(), 30)) == 40
    assert len(found) > 4
    assert set(found) == {os.SCHED_OTHER}


def test_the_right_to_real_time_is_given_up() -> None:
    """A process that has it, as root's has, loses it; one without stays as it is."""
    program = (
        f"import sys, os; sys.path[:] = {sys.path!r}\n"
        "from vssbench.codec.encoder_process import give_up_real_time\n"
        "give_up_real_time(); give_up_real_time()\n"
        "try: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))\n"
        "except PermissionError: print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "refused\n"
