"""Many videos by the machinery of sweeps: which there are, what is done, what is left to be done.

Each is a task of an executor, so that a video that crashes its process, hangs or takes all memory
is one failed row of the manifest, and the others go on.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path

from vssbench.core import files, hidden, locks, outputs, reading
from vssbench.core.errors import DataError, UsageError, VssbenchError
from vssbench.core.home import expanded
from vssbench.core.progress import messages
from vssbench.core.shortage import shortage
from vssbench.core.version import __version__
from vssbench.run.stream import Stream
from vssbench.segment.job import PALETTE, Work
from vssbench.segment.manifest import CLAIMS, Entry, Manifest, Stamp, State
from vssbench.segment.output import SUFFIXES
from vssbench.segment.request import Means, Request, job_of, means_of
from vssbench.sweep.executor import Answer, Executor, Outcome, Place, Site, Task
from vssbench.sweep.running import performed

#: endings by which videos are found in a folder
VIDEOS = (
    ".mp4", ".mkv", ".mov", ".m4v", ".avi", ".webm", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg",
    ".wmv", ".flv", ".3gp", ".y4m", ".h264", ".264", ".h265", ".265", ".hevc", ".ivf", ".obu",
)  # fmt: skip
#: the ending of a file that lists videos, one a line
LIST = ".txt"


@dataclass(frozen=True)
class Ask:
    """The user's call for many videos: what each is segmented by.

    ``wanted.stats``, if given, is the folder of the CSVs. ``ending`` is that of the videos that are
    written; palette PNGs go into a folder for each video.
    """

    method: str | None
    weights: Path | None
    wanted: Request
    ending: str = SUFFIXES[0]

    def check(self) -> str:
        """Return the settings in words, by which the manifest knows them again.

        Raises UsageError and WeightsError for what no video could be segmented by.
        """
        wanted = self.wanted
        if wanted.output == PALETTE and wanted.audio:
            raise UsageError("--audio needs videos as output, and palette PNGs are none")
        if self.ending not in SUFFIXES:
            raise UsageError(f"{self.ending!r} is no ending of a video: {', '.join(SUFFIXES)}")
        means = means_of(self.method, self.weights, wanted, lambda text: None)
        size = "own size" if wanted.size is None else "x".join(map(str, wanted.size))
        words = [
            str(means.method), f"weights {means.weights.sha256[:12]}", wanted.output, size,
            f"motion {wanted.motion}", wanted.precision,
        ]  # fmt: skip
        named = {
            "alpha": wanted.alpha, "legend": wanted.legend, "reencode": wanted.reencode,
            "max-gop": wanted.max_gop, "audio": wanted.audio, "ending": self.ending,
        }  # fmt: skip
        plain = Request()
        usual = {"alpha": plain.alpha, "ending": SUFFIXES[0]}
        words += [f"{name} {value}" for name, value in named.items() if value != usual.get(name)
                  and value not in (False, None)]  # fmt: skip
        return ", ".join(words)


@dataclass(frozen=True)
class Video(Task):
    """A video as it is handed to another process; ``name`` is its path.

    ``out`` and ``stats`` are paths, ``entry`` its row of the manifest of ``folder`` as it begins.
    ``again``: what lies in their place is by an earlier call, and is replaced. ``force`` does what
    is done.
    """

    ask: Ask
    folder: Path
    out: Path
    stats: Path | None
    entry: Entry
    again: bool = False
    force: bool = False

    @property
    def device(self) -> str:
        """See Task."""
        return self.ask.wanted.device

    @property
    def needs(self) -> tuple[object, ...]:
        """See Task."""
        return self.entry.settings, self.folder, Path(self.name).parent

    def performer(self, place: Place) -> Callable[[Video], Answer]:
        """See Task."""
        return Segmenter(place).perform

    def unfit(self, threads: int | None) -> str:
        """See Task: the video and the folder of outputs must lie at the same paths."""
        try:
            settings = self.ask.check()
        except VssbenchError as error:
            return f"vssbench {__version__}: {error}"
        if settings != self.entry.settings:
            return f"vssbench {__version__}: it would segment by {settings}"
        if not self.folder.is_dir() or not Path(self.name).parent.is_dir():
            return f"it has no folder {self.folder} or {Path(self.name).parent}: both are shared"
        shared = "videos are shared, by the same paths"
        size = Stamp.of(Path(self.name)).size
        if size == self.entry.size:
            return ""
        if not size:
            return f"it has no {self.name}: {shared}"
        return f"its {self.name} has {size} and not {self.entry.size} bytes: {shared}"


class Segmenter:
    """Segments one video after another in one process, with one network for all of them."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._settings = ""
        self._means: Means | None = None
        self._network: Stream | None = None

    def perform(self, task: Video) -> Answer:
        """Segment a video, unless another call has it under way or has done it meanwhile."""
        manifest = Manifest(task.folder)
        with locks.lock(task.folder / CLAIMS, task.name) as mine:
            if not mine:
                return Answer("taken")
            if not task.force and _is_done(manifest.entries().get(task.name), task):
                return Answer("done")
            try:
                entry = self._segmented(task, manifest)
                manifest.add(entry)
            except VssbenchError as error:  # the manifest cannot be written
                return Answer("failed", str(error), stored=False)
        self.place.report(task.frames)
        return Answer("done" if entry.state == "done" else "failed", entry.reason)

    def _segmented(self, task: Video, manifest: Manifest) -> Entry:
        """Segment a video; returns its last row."""
        started, frames, reason = time.monotonic(), 0, ""
        try:
            work = self._work(task)
            # from here on, what lies in its place is ours
            manifest.add(task.entry)
            frames = work.run().frames
        except OSError as error:
            reason = shortage(error) or str(files.refusal(task.out, error))
        except VssbenchError as error:
            reason = str(error)
        except Exception as error:
            reason = shortage(error)
            if not reason:
                raise
        seconds = round(time.monotonic() - started, 3)
        state: State = "failed" if reason else "done"
        return replace(task.entry, state=state, frames=frames, reason=reason, seconds=seconds)

    def _work(self, task: Video) -> Work:
        """Return the work on a video, checked and ready to run."""
        means = self._means_of(task)
        for path in filter(None, (task.out, task.stats)):
            path.parent.mkdir(parents=True, exist_ok=True)
        replaced = task.force or task.again
        if replaced and task.out.is_dir():
            files.remove_folder(task.out)
        wanted = replace(task.ask.wanted, stats=task.stats, force=replaced)
        job = job_of(Path(task.name), task.out, means, wanted)
        work = Work(job, job.check(), print, network=self._network)
        self._network = work.network
        return work

    def _means_of(self, task: Video) -> Means:
        ask = task.ask
        if self._means is None or self._settings != task.entry.settings:
            self._means = means_of(ask.method, ask.weights, ask.wanted, print)
            self._settings, self._network = task.entry.settings, None
        return self._means


@dataclass
class Account:
    """The end of a call: how many videos there are, what was done before, the outcomes by video,
    what failed before, and how many are left."""

    videos: int
    before: int
    outcomes: dict[str, Outcome]
    failed_before: dict[str, str] = field(default_factory=dict)
    left: int = 0

    @property
    def done(self) -> int:
        """Count the videos that are done by now."""
        return self.before + sum(each.status == "done" for each in self.outcomes.values())

    @property
    def failed(self) -> int:
        """Count those that failed, now or before."""
        now = sum(each.status != "done" for each in self.outcomes.values())
        return now + len(self.failed_before)


def is_many(source: Path) -> bool:
    """Return whether a path is a folder of videos, or a list of them."""
    return source.is_dir() or source.suffix.lower() == LIST


def videos_of(source: Path, out: Path) -> list[tuple[Path, Path]]:
    """Return the videos of a folder or a list, each once and with its place below the outputs;
    further names of a video, such as links, are told.

    Raises UsageError where there is none, DataError for a list that does not read.
    """
    if source.is_dir():
        if source.resolve() == out.resolve():
            raise UsageError(f"-o {out} is the folder that is read: give another one")
        found = [(path, path.relative_to(source)) for path in _found(source, out.resolve())]
    else:
        found = [(path, Path(path.name)) for path in dict.fromkeys(_listed(source))]
    if not found:
        raise UsageError(
            f"{source} holds no video: expected files that end in {', '.join(VIDEOS)}"
            if source.is_dir()
            else f"{source} lists no video: expected the path of one on each line"
        )
    return _each_once(found)


def _each_once(found: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Return each video under one name: its own, if that is among them, else the first."""
    named: dict[Path, Path] = {}
    for path, _ in sorted(found, key=lambda each: each[0].is_symlink()):
        named.setdefault(_real(path), path)
    for path, _ in found:
        own = named[_real(path)]
        if path != own:
            messages().print(f"{path} is {own} by another name: it is segmented once")
    return [(path, place) for path, place in found if path == named[_real(path)]]


def _real(path: Path) -> Path:
    """Return a path without links; one that leads to itself stays as it is."""
    return Path(os.path.realpath(path))


def _found(folder: Path, out: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (Path(place) / name).resolve() != out
        )
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in VIDEOS:
                yield Path(place) / name


def _listed(source: Path) -> Iterator[Path]:
    try:
        reading.check_readable(source)
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, DataError, UnicodeDecodeError) as error:
        raise DataError(f"{source} does not read as a list of videos: {error}") from error
    for line in map(str.strip, text.splitlines()):
        if line and not line.startswith("#"):
            yield source.parent / expanded(line)


def planned(
    ask: Ask, source: Path, out: Path, retry: Collection[str] = (), force: bool = False
) -> tuple[list[Video], Account]:
    """Return the videos that are left to be segmented, and the account of all.

    Raises UsageError where outputs of other settings lie in the folder, and what ``Ask.check`` and
    ``videos_of`` raise.
    """
    settings, found = ask.check(), videos_of(source, out)
    manifest = Manifest(out.resolve())
    entries = manifest.entries()
    names = {str(_real(path)) for path, _ in found}
    others = {each.settings for name, each in entries.items() if name in names} - {settings}
    if others and not force:
        raise UsageError(
            f"{manifest.path} tells of other settings ({others.pop()}; now {settings}): give "
            "another folder, or --force to segment its videos again"
        )
    taken = {entry.output: name for name, entry in entries.items()}
    tasks, account = [], Account(len(found), 0, {})
    alike = Counter(place.with_suffix("") for _, place in found)
    for path, place in found:
        short = place.with_suffix("")
        places = [place] if alike[short] > 1 else [short, place]
        task = _task(ask, settings, _real(path), places, manifest.folder, taken)
        before = entries.get(task.name)
        task = replace(task, again=task.name in manifest.begun, force=force)
        if not force and _is_done(before, task):
            account.before += 1
        elif not force and before and before.state == "failed" and "failed" not in retry and (
            before.stamp == task.entry.stamp
        ):  # fmt: skip
            account.failed_before[task.name] = before.reason
        else:
            tasks.append(task)
    return tasks, account


def _task(
    ask: Ask, settings: str, video: Path, places: list[Path], folder: Path, taken: dict[str, str]
) -> Video:
    """Return the task of a video; its output is the one that it had, or the first of some places
    that no other has."""
    name, ending = str(video), "" if ask.wanted.output == PALETTE else ask.ending
    output = next((each for each, owner in taken.items() if owner == name), None)
    place = places[-1]
    numbered = (place.with_name(f"{place.name}-{number}") for number in count(2))
    for base in () if output else chain(places, numbered):
        output = (base.parent / f"{base.name}{ending}").as_posix()
        if output not in taken:
            break
    assert output is not None
    taken[output] = name
    stamp = Stamp.of(video)
    entry = Entry(name, "begun", output, stamp.size, stamp.modified_ns, settings)
    stats = ask.wanted.stats
    if stats is not None:
        stats = stats.resolve() / f"{output.removesuffix(ending) if ending else output}.csv"
    return Video(name, place.as_posix(), 1, ask, folder, folder / output, stats, entry)


def _is_done(entry: Entry | None, task: Video) -> bool:
    """Return whether a video was segmented as it is now, and its output is there."""
    return (
        entry is not None
        and entry.state == "done"
        and entry.settings == task.entry.settings
        and entry.stamp == task.entry.stamp
        and task.out.exists()
    )


def conduct(tasks: list[Video], account: Account, executor: Executor, site: Site) -> Account:
    """Segment the videos that are left; returns the account of all.

    Raises DataError where the folder cannot be written.
    """
    if not tasks:
        return account
    outputs.check_folder(site.root)
    manifest = Manifest(site.root)

    def settled(outcome: Outcome) -> Outcome:
        if not outcome.stored:
            entry = replace(outcome.job.entry, state="failed", reason=outcome.reason)
            manifest.add(entry)
        return outcome

    account.outcomes = performed(executor, tasks, site, "segmenting", settled)
    account.left = len(tasks) - len(account.outcomes)
    if account.left:
        for folder in {task.out.parent for task in tasks}:
            with suppress(OSError):
                hidden.sweep(folder)  # the drafts of what was abandoned
    return account
