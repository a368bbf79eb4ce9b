"""Groups of clips, and several views of one frame, as a run stores them."""

from dataclasses import replace

from vssbench.run.measuring import measure, view_numbers
from vssbench.run.store import RunStore


def test_the_groups_and_views_of_clips_are_stored_with_the_run(make_experiment, patterns, tmp_path):
    experiment = make_experiment()
    clips = type(patterns)(frames=2, clips=3).clips()
    assert [clip.part(0, 1).group for clip in clips] == ["pattern0", "pattern1", "pattern2"]
    drives = ("north", "south", "north")
    experiment.dataset.__dict__["scored_clips"] = [
        replace(clip, group=drive, view_of=drive) for clip, drive in zip(clips, drives, strict=True)
    ]
    store = RunStore(tmp_path / "runs")
    measure(experiment, store, "test")
    (run,) = store.runs()
    assert run.confusion.groups.tolist() == [0, 0, 1, 1, 0, 0]
    assert run.confusion.views.tolist() == [0, 0, 1, 1, 0, 0]
    assert experiment.identity["groups"] == list(drives)  # other groups are another run


def test_views_of_one_frame_are_numbered_by_the_first_of_their_group(patterns):
    clips = type(patterns)(frames=1, clips=5).clips()
    assert view_numbers(clips) is None
    shown = [("north", "a"), ("north", "b"), ("north", "a"), ("south", "a"), ("north", "")]
    views = [
        replace(clip, group=group, view_of=frame)
        for clip, (group, frame) in zip(clips, shown, strict=True)
    ]
    assert view_numbers(views) == [0, 1, 0, 3, 4]
