"""The whole of a measurement: checks, the encoded stream, interleaved rounds, statistics, verdicts,
and the stored result."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from statistics import median
from typing import Any, Literal

from vssbench.core.allocator import keep_freed_memory
from vssbench.core.errors import UsageError
from vssbench.core.machine import describe_environment, throttle_events
from vssbench.core.variant import parse_variant
from vssbench.cost.gmacs import count, traits
from vssbench.latency.footage import encode, open_codec
from vssbench.latency.result import LatencyResult, MethodTimes, WarmUpRecord, new_id
from vssbench.latency.rounds import Campaign, Outcome, binding, run_rounds
from vssbench.latency.samples import Samples
from vssbench.latency.settings import GOPS, Settings, Subject
from vssbench.latency.statistics import KINDS, Ratio, compare, summarise
from vssbench.latency.verdict import in_words, judge, mean_load
from vssbench.weights.file import open_weights
from vssbench.weights.network import check_fit
from vssbench.weights.shipped import closest


def check(settings: Settings, subjects: Sequence[Subject]) -> None:
    """Refuse, before anything runs, what cannot be timed. Raises UsageError, WeightsError."""
    if not subjects:
        raise UsageError("nothing to time: give at least one method with -m")
    codec = open_codec(settings)
    for subject in subjects:
        variant = parse_variant(subject.method)
        needs = traits(variant, settings.classes).needs
        # refuses a size that the network does not take
        count(variant, settings.classes, *settings.size)
        if needs & {"motion", "residual"} and not codec.has_motion:
            raise UsageError(
                f"{subject.method} needs motion vectors, and {settings.codec} carries none; choose "
                "a --codec that has them, as h264"
            )
        if subject.weights is not None:
            file = open_weights(subject.weights)
            check_fit(variant, file.classes, file)
            if len(file.classes) != settings.classes:
                raise UsageError(
                    f"{file.path} holds weights of {len(file.classes)} classes: add --classes "
                    f"{len(file.classes)}"
                )


def subject_of(method: str, classes: int, weights: Sequence[Any]) -> Subject:
    """Return a method as typed, with the file of ``weights`` (paths) that belongs to it, if any."""
    variant = parse_variant(method)
    file = closest(variant, [open_weights(path) for path in weights], classes)
    display = traits(variant, classes).display
    return Subject(str(variant), display, None if file is None else file.path)


def measure(
    settings: Settings,
    subjects: Sequence[Subject],
    command: str,
    version: str,
    advance: Callable[[str], object] = lambda note: None,
) -> tuple[LatencyResult, Samples]:
    """Time the methods. Ctrl-C ends it early: what was measured until then is returned, with the
    status ``interrupted``.

    Raises DataError where the stream cannot be made; KeyboardInterrupt where not one round was
    done.
    """
    encode(settings)
    started, heat = time.perf_counter(), throttle_events()
    environment = describe_environment(settings.device)
    campaign = Campaign([Outcome() for _ in subjects])
    try:
        run_rounds(settings, subjects, campaign, advance)
    except KeyboardInterrupt:
        if not campaign.parts:
            raise
    samples = campaign.samples()
    # the workers', not this process's
    environment["threads"] = max(outcome.threads for outcome in campaign.outcomes)
    environment["freed_memory_kept"] = keep_freed_memory()  # as each worker asks for it
    environment["variables"] |= binding(settings.device)  # theirs too
    environment["after"] = {"load_average": describe_environment(settings.device)["load_average"]}
    throttled = throttle_events() > heat
    methods = [
        _times(subject, outcome, samples.of_method(index), settings, environment, throttled)
        for index, (subject, outcome) in enumerate(zip(subjects, campaign.outcomes, strict=True))
    ]
    result = LatencyResult(
        id=new_id(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        status=_status(campaign),
        seconds=time.perf_counter() - started,
        settings=_stored(settings),
        stream=_stream_words(settings),
        methods=methods,
        ratios=ratios(subjects, samples, settings.seed),
        environment=environment,
        remarks=_remarks(settings, subjects, environment),
        command=command,
        version=version,
    )
    return result, samples


def ratios(subjects: Sequence[Subject], samples: Samples, seed: int) -> list[Ratio]:
    """Return the ratio of every two methods, for every kind of frame."""
    all_ratios = []
    for first, second in itertools.combinations(range(len(subjects)), 2):
        names = subjects[first].method, subjects[second].method
        each = (
            compare(samples.of_method(first), samples.of_method(second), names, kind, seed)
            for kind in KINDS
        )
        all_ratios += [ratio for ratio in each if ratio is not None]
    return all_ratios


def _times(
    subject: Subject,
    outcome: Outcome,
    samples: Samples,
    settings: Settings,
    environment: dict[str, Any],
    throttled: bool,
) -> MethodTimes:
    summaries = {
        kind: summary
        for kind in KINDS
        if (summary := summarise(samples, kind, settings.seed)) is not None
    }
    average = (environment["load_average"] or [None])[0]
    reasons = judge(
        list(summaries.values()),
        outcome.loads,
        outcome.warmups,
        average,
        environment["cores"],
        throttled,
        outcome.again,
    )
    others, stolen = mean_load(outcome.loads)
    return MethodTimes(
        method=subject.method,
        display=subject.display,
        weights=subject.weights_text,
        status="failed" if outcome.failure else "done",
        reason=outcome.failure,
        threads=outcome.threads,
        warmups=[WarmUpRecord(**asdict(warm_up)) for warm_up in outcome.warmups],
        times=summaries,
        verdict=in_words(reasons) if summaries else "",
        others=others,
        stolen=stolen,
        rounds_others=[load.others for load in outcome.loads],
        again=median(outcome.again) if outcome.again else None,
        energy=outcome.energy,
    )


def _status(campaign: Campaign) -> Literal["done", "interrupted", "failed"]:
    if not campaign.complete:
        return "interrupted"
    return "failed" if any(outcome.failure for outcome in campaign.outcomes) else "done"


def _stored(settings: Settings) -> dict[str, Any]:
    """Return the settings as JSON values; of paths, which differ everywhere, the name alone."""
    stored = asdict(settings)
    stored.pop("cache")
    return {
        **stored,
        "size": list(settings.size),
        "clip": None if settings.clip is None else settings.clip.name,
    }


def _stream_words(settings: Settings) -> str:
    what = "a drawn street" if settings.clip is None else settings.clip.name
    return (
        f"{GOPS} GOPs of {what} at {settings.size[0]}x{settings.size[1]}, "
        f"{open_codec(settings).describe()}"
    )


def _remarks(
    settings: Settings, subjects: Sequence[Subject], environment: dict[str, Any]
) -> list[str]:
    remarks = []
    if any(subject.weights is None for subject in subjects):
        remarks.append(
            f"random weights of seed {settings.seed}: times depend on the network's form, not on "
            "their values"
        )
    if settings.processes < 3:
        remarks.append(
            "fewer than three processes: what differs from process to process is hardly seen; "
            "intervals are wide"
        )
    if environment["governor"] not in ("", "performance"):
        remarks.append(
            f"the processor's clock is governed by {environment['governor']!r}: 'performance' "
            "gives steadier times"
        )
    return remarks
