"""What is shown while a collection runs: counts by stage, from one process or from several."""

import json
import os

import pytest

from lit_experiments.collecting import bars
from lit_experiments.collecting.bars import Steps
from lit_experiments.collecting.plan import Sample
from lit_experiments.collecting.progress import PipeSink, ProgressBar
from lit_experiments.collecting.samples import totals

SAMPLES = [Sample(f"s{i}", i, 5, None, stage="one" if i < 6 else "two") for i in range(10)]


def test_counts_begin_with_what_is_done_and_grow_by_stage() -> None:
    with ProgressBar(totals(SAMPLES), totals(SAMPLES[4:])) as bar:
        assert bar.done == {"one": 4, "two": 0}
        bar.advance("one", 2, 10, 100)
        bar.advance("two", 3, 15, 50)
        assert bar.done == {"one": 6, "two": 3}
        assert bar.total == {"one": 6, "two": 4}
        assert (bar.tokens, bar.written) == (25, 150)


def test_without_a_terminal_a_line_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "_LINE_EVERY", -1.0)
    with ProgressBar(totals(SAMPLES), totals(SAMPLES)) as bar:
        bar.advance("one", 2, 10, 2_000_000)
    stderr = capsys.readouterr().err
    assert stderr.startswith("collecting 2/10 samples (one), ")
    assert "2.0 MB written" in stderr


def test_a_worker_sends_its_progress_down_a_pipe() -> None:
    reading, writing = os.pipe()
    PipeSink(writing).advance("two", 3, 40, 500)
    os.close(writing)
    with os.fdopen(reading) as lines:
        assert json.loads(lines.readline()) == ["two", 3, 40, 500]


def test_steps_go_on_where_they_were_and_say_where_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Steps("intervening", 30, done=10) as steps:
        steps.advance("layer 1", 5)
        assert capsys.readouterr().err == ""  # a minute has not gone by
        monkeypatch.setattr(bars, "_LINE_EVERY", -1.0)
        steps.advance("layer 2", 5)
    assert capsys.readouterr().err == "intervening 20/30 (layer 2)\n"
