"""Many videos by one call: each is done once whatever stops it, what fails is one row, and the
manifest tells of all."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from vssbench.cli import bench
from vssbench.core.errors import DataError, UsageError
from vssbench.segment import many
from vssbench.segment.manifest import Entry, Manifest
from vssbench.segment.many import Ask, Segmenter, planned, videos_of
from vssbench.segment.request import Request
from vssbench.sweep.executor import Executor, Outcome, Place

ROOT = Path(__file__).parents[2]
COPY = ("-m", "copy", "-d", "synthetic")


class Here(Executor):
    """Performs each task in this process; those after the first few are left."""

    def __init__(self, most: int = 100) -> None:
        self.most, self.given = most, []

    def run(self, jobs, site):
        performers = {}
        for job in jobs[: self.most]:
            self.given.append(Path(job.name).name)
            perform = performers.setdefault(type(job), job.performer(Place(site.root, site.cache)))
            answer = perform(job)
            yield Outcome(job, answer.status, answer.reason, "", answer.stored)


@pytest.fixture
def call(monkeypatch):
    """Call the command in this process; returns its result and the videos that were begun."""

    def called(*arguments: object, most: int = 100):
        executor = Here(most)
        monkeypatch.setattr("vssbench.core.registry.create", _creating(executor))
        result = CliRunner().invoke(bench, ["segment", *(str(each) for each in arguments)])
        return result, executor.given

    return called


def _creating(executor: Executor):
    from vssbench.core import registry

    plain = getattr(registry.create, "plain", registry.create)

    def create(kind, variant, **given):
        return executor if kind == "executors" else plain(kind, variant, **given)

    create.plain = plain
    return create


@pytest.fixture
def videos(make, tmp_path) -> Path:
    """Return a folder with two videos of one stem, one in a folder, and one that is broken."""
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    shutil.move(make("a.mp4", length=3), folder)
    shutil.copy(folder / "a.mp4", folder / "a.mkv")
    shutil.copy(folder / "a.mp4", folder / "deep" / "b.mp4")
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "notes.md").write_text("not a video", encoding="utf-8")
    (folder / ".hidden.mp4").write_bytes(b"")
    return folder


def states(out: Path) -> dict[str, str]:
    return {Path(name).name: each.state for name, each in Manifest(out).entries().items()}


def test_a_folder_is_worked_through_and_gone_on_with(call, videos, tmp_path) -> None:
    out, stats = tmp_path / "out", tmp_path / "stats"
    words = (videos, *COPY, "-o", out, "--stats", stats)
    result, given = call(*words, most=2)
    assert (result.exit_code, given) == (130, ["a.mkv", "a.mp4"])
    assert "2 are left: the same command goes on" in result.stderr
    result, given = call(*words)
    assert (result.exit_code, given) == (1, ["broken.mp4", "b.mp4"])
    assert states(out) == {
        "a.mkv": "done", "a.mp4": "done", "broken.mp4": "failed", "b.mp4": "done",
    }  # fmt: skip
    entries = {Path(name).name: each for name, each in Manifest(out).entries().items()}
    assert "cannot be read as a video" in entries["broken.mp4"].reason
    assert (entries["b.mp4"].frames, entries["b.mp4"].output) == (3, "deep/b.mp4")
    there = {path.relative_to(out).as_posix() for path in out.rglob("*.mp4")}
    assert there == {"a.mkv.mp4", "a.mp4.mp4", "deep/b.mp4"}
    assert len(list(csv.DictReader((stats / "deep" / "b.csv").open(encoding="utf-8")))) == 3
    # nothing is left; what failed stays so until it is asked for, or is another file
    result, given = call(*words)
    assert (result.exit_code, given) == (1, [])
    assert "failed before" in result.stderr
    assert call(*words, "--retry", "failed")[1] == ["broken.mp4"]
    shutil.copy(videos / "a.mp4", videos / "broken.mp4")
    os.utime(videos / "a.mkv", ns=(1, 1))
    (out / "deep" / "b.mp4").unlink()
    result, given = call(*words)
    assert (result.exit_code, given) == (0, ["a.mkv", "broken.mp4", "b.mp4"])
    assert "4 of 4 videos are done" in result.stdout
    assert not list(out.rglob(".vssbench*"))


def test_a_video_of_several_names_is_segmented_once(call, make, tmp_path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    shutil.move(make("m.mp4", length=2), folder / "m.mp4")
    (folder / "a.mp4").symlink_to("m.mp4")
    (folder / "z.mp4").symlink_to("z.mp4")
    result, given = call(folder, "-o", out, *COPY)
    assert (result.exit_code, given) == (1, ["m.mp4", "z.mp4"])
    assert "a.mp4 is " in result.stderr
    assert "by another name: it is segmented once" in result.stderr
    assert "1 of 2 videos are done" in result.stdout
    (tmp_path / "list.txt").write_text("in/m.mp4\nin/../in/m.mp4\nin/a.mp4\n")
    result, given = call(tmp_path / "list.txt", "-o", out, *COPY)
    assert (result.exit_code, given) == (0, [])
    assert "1 of 1 videos are done" in result.stdout


def test_a_list_in_folders_of_pngs(call, videos, tmp_path) -> None:
    lines = tmp_path / "videos.txt"
    lines.write_text("# ours\nin/a.mp4\n\nin/deep/b.mp4\nin/a.mp4\nin/gone.mp4\n", encoding="utf-8")
    out = tmp_path / "out"
    result, given = call(lines, *COPY, "-o", out, "--output", "palette")
    assert (result.exit_code, given) == (1, ["a.mp4", "b.mp4", "gone.mp4"])
    assert len(list((out / "b").glob("*.png"))) == 3
    assert states(out)["gone.mp4"] == "failed"
    os.utime(videos / "a.mp4", ns=(1, 1))
    assert call(lines, *COPY, "-o", out, "--output", "palette")[1] == ["a.mp4"]
    assert len(list((out / "a").glob("*.png"))) == 3


def test_what_others_made_is_kept_and_other_settings_are_refused(call, videos, tmp_path) -> None:
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    (out / "deep" / "b.mp4").write_text("mine", encoding="utf-8")
    for retry in ((), ("--retry", "failed")):
        result, _ = call(videos, *COPY, "-o", out, *retry)
        assert result.exit_code == 1
        assert "is there already" in result.stderr
        assert (out / "deep" / "b.mp4").read_text(encoding="utf-8") == "mine"
    result, given = call(videos, *COPY, "-o", out, "--size", "32x48")
    assert "tells of other settings" in str(result.exception)
    assert given == []
    result, given = call(videos, *COPY, "-o", out, "--size", "32x48", "--force")
    assert len(given) == 4
    assert {each.settings.count("32x48") for each in Manifest(out).entries().values()} == {1}
    assert (out / "deep" / "b.mp4").stat().st_size > 100


def test_what_cannot_be_is_said_before_any_work(call, videos, tmp_path) -> None:
    for words, said in (
        ((videos, *COPY, "-o", videos), "is the folder that is read"),
        ((tmp_path / "none.txt", *COPY, "-o", tmp_path / "o"), "does not read as a list"),
        ((videos, "-m", "nothing", "-o", tmp_path / "o"), "unknown method"),
        ((videos / "a.mp4", *COPY, "-o", tmp_path / "o.mp4", "--workers", 2), "is for many videos"),
        ((videos, *COPY, "-o", videos / "a.mp4"), "is a file"),
        ((videos, *COPY, "-o", tmp_path / "o", "--output", "palette", "--audio"), "--audio needs"),
    ):
        result, given = call(*words)
        assert isinstance(result.exception, UsageError | DataError)
        assert said in str(result.exception)
        assert given == []
    assert not (tmp_path / "o").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no video"):
        videos_of(tmp_path / "empty", tmp_path / "o")


def test_a_video_that_another_call_has_or_did_is_not_done_again(videos, tmp_path) -> None:
    ask = Ask("copy", None, Request(dataset="synthetic"))
    out = (tmp_path / "out").resolve()
    tasks, _ = planned(ask, videos / "deep", out)
    segmenter = Segmenter(Place(out, out))
    with many.locks.lock(out / ".claims", tasks[0].name):
        assert segmenter.perform(tasks[0]).status == "taken"
    assert segmenter.perform(tasks[0]).status == "done"
    before = (out / "b.mp4").stat().st_ino
    assert segmenter.perform(tasks[0]).status == "done"
    assert (out / "b.mp4").stat().st_ino == before


def test_a_manifest_that_was_cut_short_or_is_none(tmp_path) -> None:
    manifest = Manifest(tmp_path)
    row = Entry("/v/a, b.mp4", "begun", "a.mp4", 3, 4, "copy", reason='two\nlines, "quoted"')
    manifest.add(row)
    with manifest.path.open("a", encoding="utf-8") as file:
        file.write("/v/c.mp4,done,c.m")
    assert manifest.entries().keys() == {row.video}
    manifest.add(Entry("/v/d.mp4", "done", "d.mp4", 1, 2, "copy"))
    entries = manifest.entries()
    assert entries.keys() == {row.video, "/v/d.mp4"}
    assert entries[row.video].reason == 'two lines, "quoted"'
    assert manifest.begun == {row.video}
    manifest.path.write_text("name,price\nbread,3\n", encoding="utf-8")
    with pytest.raises(DataError, match="does not read as the manifest"):
        manifest.entries()


def test_killed_and_gone_on_with_by_worker_processes(make, tmp_path, commands) -> None:
    """SIGKILL of the command in the midst of a video: each is done once, and nothing is left."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    make("a.mp4", length=3)
    make("long.mp4", length=200)
    for name in ("a.mp4", "long.mp4"):
        shutil.move(tmp_path / name, folder)
    words = ["segment", str(folder), *COPY, "-o", str(out)]
    words += ["--threads", "1", "--memory-limit", "8G"]
    process = commands.start(words, ROOT, dict(os.environ))
    said = ""
    while "a.mp4: done" not in said:
        part = os.read(process.said, 1 << 16)
        assert part, said
        said += part.decode()
    process.kill()
    process.communicate()
    assert states(out)["a.mp4"] == "done", said
    before = (out / "a.mp4").stat().st_ino
    process = commands.start(words, ROOT, dict(os.environ))
    said, _ = process.communicate()
    assert process.wait() == 0, said
    assert "2 of 2 videos are done" in said
    assert set(states(out).values()) == {"done"}
    assert (out / "a.mp4").stat().st_ino == before
    left = {path.name for path in out.iterdir()}
    assert left == {"a.mp4", "long.mp4", "manifest.csv", ".claims"}
