"""Building, loading and refusing the compiled kernels; the threads that run them."""

import multiprocessing
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from tests.native.conftest import needs_compiler
from vssbench import native
from vssbench.fast.upsampled_conv import UpsampledConv
from vssbench.native import compiler
from vssbench.native.compiler import BuildError, build
from vssbench.native.threads import in_parallel, scratch


@pytest.fixture
def fresh(monkeypatch, tmp_path, unloaded):
    """Let the kernels be built and loaded anew, as in a new process with an empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "vssbench"


@needs_compiler
def test_is_built_once_by_many_at_a_time_and_leaves_one_file(fresh):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: build(), range(2))
    assert first == second
    assert list(fresh.iterdir()) == [first]
    written = first.stat().st_mtime_ns
    assert build() == first
    assert first.stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", ["cut", "empty", "changed"])
def test_a_damaged_library_in_the_cache_is_built_anew(fresh, damage, monkeypatch):
    """One that is cut short kills the process which loads it (SIGBUS)."""
    built = []
    monkeypatch.setattr(compiler, "_compiler", lambda: ["cc"])
    monkeypatch.setattr(compiler, "_fingerprint", lambda folder, compiler: "x")
    monkeypatch.setattr(
        compiler,
        "_compile",
        lambda compiler, folder, made: built.append(made.write_bytes(b"library" * 999)),
    )
    path = build()
    whole = path.read_bytes()
    assert build() == path
    assert len(built) == 1
    path.write_bytes({"cut": whole[:4096], "empty": b"", "changed": bytes(9) + whole[9:]}[damage])

    assert build() == path
    assert path.read_bytes() == whole
    assert len(built) == 2


@needs_compiler
def test_another_compiler_or_flag_is_another_file(fresh, monkeypatch):
    first = compiler._fingerprint(compiler.Path(compiler.__file__).parent, ["cc"])
    monkeypatch.setattr(compiler, "FLAGS", (*compiler.FLAGS, "-O2"))
    assert compiler._fingerprint(compiler.Path(compiler.__file__).parent, ["cc"]) != first


def test_can_be_turned_off(fresh, monkeypatch):
    monkeypatch.setenv("VSSBENCH_NATIVE", "0")
    assert not native.available()
    assert not fresh.exists()


def test_without_a_compiler_one_line_says_so(fresh, monkeypatch, caplog):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not native.available()
    assert not native.available()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no C compiler" in caplog.text


@needs_compiler
def test_a_compiler_that_fails_is_quoted(fresh, monkeypatch):
    monkeypatch.setattr(compiler, "FLAGS", ("-not-a-flag-of-any-compiler",))
    with pytest.raises(BuildError, match="not-a-flag"):
        build()


def test_a_cache_that_cannot_be_written(fresh, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(compiler, "_fingerprint", lambda folder, compiler: "x")
    monkeypatch.setattr(compiler, "_compiler", lambda: ["cc"])
    (tmp_path / "vssbench").write_text("a file in the folder's place")
    assert not native.available()
    assert "XDG_CACHE_HOME" in caplog.text


@needs_compiler
def test_kernels_that_disagree_are_not_used(unloaded, monkeypatch, caplog):
    right = UpsampledConv.compiled
    monkeypatch.setattr(UpsampledConv, "compiled", lambda *given: right(*given) + 1)
    assert not native.available()
    assert "the upsampled convolution differ from PyTorch's results" in caplog.text


@needs_compiler
def test_a_users_check_that_comes_late_is_heard(unloaded, monkeypatch, caplog):
    """A module that is imported after the kernels were loaded brings its cases all the same."""
    assert native.available()
    monkeypatch.setattr(native._networks, "_cases", [*native._networks._cases])

    @native.check_with
    def wrong(kernels):
        yield "a late result", torch.zeros(3), torch.ones(3)

    assert not native.available()
    assert "a late result differ from" in caplog.text


@needs_compiler
def test_checks_accept_the_kernels_and_leave_the_random_state(unloaded):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert native.library() is not None
    assert torch.equal(torch.rand(3), expected)


def test_native_knows_none_of_its_users():
    """Loaded alone it loads nothing of vssbench but itself and the core."""
    code = (
        "import sys; from vssbench import native; native.library(); native.video_kernels();"
        "print(*sorted({name.split('.')[1] for name in sys.modules if name.count('.') and"
        " name.startswith('vssbench.')}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert result.stdout.split() == ["core", "native"]


def test_every_task_is_done_once():
    done, lock = [], threading.Lock()

    def work(a: int, b: int) -> None:
        with lock:
            done.append((a, b))

    tasks = [(a, b) for a in range(7) for b in range(5)]
    in_parallel(work, tasks)
    assert sorted(done) == tasks


def test_an_error_in_a_thread_is_raised():
    def work(n: int) -> None:
        raise ZeroDivisionError(n)

    with pytest.raises(ZeroDivisionError):
        in_parallel(work, [(n,) for n in range(4)])


def test_scratch_memory_is_kept_and_each_threads_own():
    first = scratch(100)
    assert scratch(50).data_ptr() == first.data_ptr()
    assert scratch(first.numel() + 1).numel() > first.numel()
    others: list[int] = []
    thread = threading.Thread(target=lambda: others.append(scratch(10).data_ptr()))
    thread.start()
    thread.join()
    assert others[0] != scratch(10).data_ptr()


def test_a_forked_process_has_threads_of_its_own():
    in_parallel(lambda n: None, [(n,) for n in range(4)])
    process = multiprocessing.get_context("fork").Process(
        target=in_parallel, args=(_nothing, [(n,) for n in range(4)])
    )
    process.start()
    process.join(30)
    assert process.exitcode == 0


def _nothing(n: int) -> None:
    return None


def test_a_compiler_that_says_nothing_or_is_no_command_is_named(fresh, monkeypatch):
    monkeypatch.setenv("CC", "/bin/false")
    with pytest.raises(BuildError, match=r"/bin/false does not compile .*: it ends with status 1"):
        build()
    monkeypatch.setenv("CC", "gcc 'x")
    with pytest.raises(BuildError, match=r"is no command: No closing quotation"):
        build()
