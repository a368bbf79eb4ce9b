"""Between its rounds a worker leaves memory to others where that is short, and has its own paged in
anew before it is timed."""

from types import SimpleNamespace

import pytest

from vssbench.latency import worker
from vssbench.latency.settings import Settings, Subject


@pytest.mark.parametrize(("full", "uncounted"), [(60, 2), (90, 6)])
def test_what_was_handed_back_is_paged_in_uncounted(tmp_path, monkeypatch, full, uncounted):
    settings = Settings((64, 96), 3, "cpu", "fp32", "h264[gop=3]", 3, 1, 1, 0.1, tmp_path)
    bench = worker.Bench(settings, Subject("bisenet[width=0.125]", "BiSeNet18"))
    returned, shown = [], []
    monkeypatch.setattr(
        worker.psutil, "virtual_memory", lambda: SimpleNamespace(percent=full), raising=True
    )
    monkeypatch.setattr(worker, "hand_back_freed_memory", lambda: returned.append(1))
    monkeypatch.setattr(bench, "segment", lambda frame: shown.append(frame) or (1.0, 1.0, 1.0))
    bench.rest()
    done = bench.round(0)
    assert len(done.frames) == 3
    assert len(shown) == uncounted + 3 + 3  # a GOP, and the same once more
    assert bool(returned) == (full > 75)
