"""The selftest in seconds: everything holds with few repeats, and what does not hold is seen."""

import dataclasses
import json

import numpy as np
import pytest

from lit_experiments.cli.main import main
from lit_experiments.errors import EXIT_DONE, EXIT_FAILED
from lit_experiments.selftest import Extent, SelftestResult, markdown, selftest
from lit_experiments.selftest import run as runs
from lit_experiments.selftest.coverage import LARGE, SIMULATIONS, Coverage, coverage, sizes_of
from lit_experiments.selftest.data import grouped, happened, normal, skewed
from lit_experiments.selftest.false_positives import STATEMENTS, FalsePositives, false_positives
from lit_experiments.selftest.planted import Planted, planted

TINY = Extent(2, (5,), (8,))


@pytest.mark.parametrize("simulation", SIMULATIONS, ids=lambda simulation: next(iter(simulation.truths)))
def test_every_estimator_covers_its_truth(simulation):
    for row in coverage(simulation, 12, range(25)):
        assert row.holds, row
        assert row.seeds == 25


@pytest.mark.parametrize("statement", STATEMENTS)
def test_nothing_is_claimed_of_noise(statement):
    row = false_positives(statement, 12, range(20))
    assert row.holds, row


def test_planted_truths_are_measured():
    assert [row for row in planted() if not row.holds] == []


def test_a_truth_that_is_another_is_not_covered():
    """Means of 2, said to be 3."""
    mean = SIMULATIONS[0]
    wrong = dataclasses.replace(mean, truths={name: truth + 1 for name, truth in mean.truths.items()})
    assert not any(row.holds for row in coverage(wrong, 24, range(40)))


@pytest.mark.parametrize(
    ("groups", "intervals", "outside", "holds"),
    [(24, 300, 21, True), (24, 300, 60, False), (8, 300, 30, True), (8, 300, 60, False), (5, 0, 0, True)],
)
def test_a_coverage_holds_unless_chance_cannot_explain_it(groups, intervals, outside, holds):
    row = Coverage("mean", groups, 300, intervals, outside, 0, 0.0, 1.0, "t")
    assert row.holds is holds
    assert row.covered == intervals - outside


@pytest.mark.parametrize(("made", "holds"), [(15, True), (40, False)])
def test_false_positives_hold_unless_chance_cannot_explain_them(made, holds):
    assert FalsePositives("gain", 24, 300, made, 0.05).holds is holds


def test_simulated_rows_are_as_they_are_said_to_be():
    rng = np.random.default_rng(0)
    group = grouped(20_000, rng)
    pairs = np.flatnonzero(group[1:] == group[:-1])
    for values in (normal(group, rng), skewed(group, rng)):
        assert values.mean() == pytest.approx(0, abs=0.03)
        assert values.var() == pytest.approx(1, abs=0.03)
        assert np.corrcoef(values[pairs], values[pairs + 1])[0, 1] == pytest.approx(0.3, abs=0.03)
    assert happened(0.2, group, rng).mean() == pytest.approx(0.2, abs=0.01)


def test_more_groups_than_the_jackknife_takes_are_left_to_what_adds_up():
    left_out = [simulation for simulation in SIMULATIONS if LARGE not in sizes_of(simulation, (5, LARGE))]
    assert 0 < len(left_out) < len(SIMULATIONS)


def test_a_fault_is_said_and_ends_the_command_with_1(monkeypatch, capsys, tmp_path):
    low = Coverage("mean", 24, 300, 300, 60, 0, 0.0, 1.0, "jackknife t")
    noisy = FalsePositives("a gain", 24, 300, 60, 0.05)
    off = Planted("CKA", 0.0, 0.5, 0.02)
    result = SelftestResult(300, [low], [noisy], [off])
    assert [line.split(":")[0] for line in result.faults] == ["mean, 24 groups", "a gain, 24 groups", "CKA"]
    assert "| mean | 80.0% | jackknife t |" in markdown(result)
    monkeypatch.setattr("lit_experiments.selftest.selftest", lambda extent, progress: result)
    assert main(["selftest", "--json", str(tmp_path / "numbers.json")]) == EXIT_FAILED
    assert capsys.readouterr().err.count("not as promised") == 3
    written = json.loads((tmp_path / "numbers.json").read_text())
    assert written["coverage"][0]["intervals"] == 300
    assert len(written["faults"]) == 3


def test_all_of_it_runs_in_processes_of_its_own():
    parts = []
    result = selftest(TINY, lambda done, of: parts.append((done, of)))
    assert parts[-1][0] == parts[-1][1] == len(parts)
    assert {row.statement for row in result.false_positives} == set(STATEMENTS)
    assert len(result.coverage) == sum(len(simulation.truths) for simulation in SIMULATIONS)
    assert len({row.estimator for row in result.coverage}) == len(result.coverage)
    assert [row.holds for row in result.planted] == [True] * len(planted())
    assert runs.QUICK.seeds >= 60


def test_its_help_is_there(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["selftest", "--help"])
    assert ended.value.code == EXIT_DONE
    assert "--full" in capsys.readouterr().out
