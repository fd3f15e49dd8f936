"""Synthetic claims are what they say: targets lie along states, copies are copies, surfaces give their targets."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import entropy

from benchmarks.claims import finished
from benchmarks.planted_claims.claim import MIDPOINTS, SUPPORTED, VERDICTS, Planted
from benchmarks.planted_claims.judging import (
    INTROSPECTION,
    LINEAR,
    Case,
    Judged,
    add_line,
    cases_of,
    judge,
    read_lines,
)
from benchmarks.planted_claims.kinds import KINDS, make_claim
from benchmarks.planted_claims.tally import Tally, confusion
from benchmarks.planted_claims.written import TARGET, write_for_introspection, write_for_linear_probes
from lit_experiments.experiments.introspection.schema import COLUMNS
from lit_experiments.sources.content_groups import Likeness, content_groups
from stores import open_store

LIKENESS = Likeness(0.5, 0.7)


def _planted(kind: str, seed: int = 0) -> Planted:
    return make_claim(kind, seed).planted


def _fit(features: np.ndarray, target: np.ndarray) -> float:
    """R2 of least squares on the rows that it is fitted to."""
    design = np.column_stack([features, np.ones(len(target))])
    rest = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
    return float(1 - rest.var() / target.var())


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_claim_is_whole_and_the_same_seed_makes_it_again(kind: str) -> None:
    planted, again = (make_claim(kind, 3).planted for _ in range(2))
    rows = len(planted.texts)
    assert planted.states.shape[1] == len(planted.target) == len(planted.options) == len(planted.key) == rows
    assert planted.probs.shape == (rows, len(MIDPOINTS))
    np.testing.assert_allclose(planted.probs.sum(1), 1)
    assert np.isfinite(planted.states).all()
    assert list(planted.texts) == list(again.texts)
    np.testing.assert_array_equal(planted.states, again.states)
    assert set(KINDS[kind].right) <= set(VERDICTS)


def test_another_seed_makes_another_claim() -> None:
    assert list(_planted("surface commas", 3).texts) != list(_planted("surface commas", 4).texts)


@pytest.mark.parametrize("kind", [kind for kind, of in KINDS.items() if of.right == (SUPPORTED,)])
def test_states_of_true_claims_hold_the_target_and_lengths_do_not(kind: str) -> None:
    planted = _planted(kind)
    known = ~np.isnan(planted.target)
    target = planted.target[known]
    # a least-squares fit of one layer alone, from half of the rows to the other
    held_out = np.random.default_rng(0).permutation(len(target)) % 2 == 1
    scores = []
    for x in planted.states[:, known].astype(np.float64):
        x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-9)
        gram = x[~held_out].T @ x[~held_out] + 30 * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, x[~held_out].T @ (target[~held_out] - target[~held_out].mean()))
        predicted = x[held_out] @ weights
        scores.append(_correlation(predicted, target[held_out]) if np.ptp(predicted) else 0.0)
    assert max(scores) > 0.2
    if "beside" not in kind:
        assert abs(_correlation(np.array([len(planted.texts[i]) for i in np.flatnonzero(known)]), target)) < 0.25


def test_surfaces_give_the_target() -> None:
    bent = _planted("surface curved")
    length = np.array([len(text) for text in bent.texts], np.float64)
    gap = (length - np.median(length)) / length.std()
    assert abs(_correlation(length, bent.target)) < 0.6
    assert _fit(np.stack([np.abs(gap), gap**2], 1), bent.target) > 0.9
    either = _planted("surface either word")
    first, second = (np.array([word in text.lower() for text in either.texts]) for word in ("zumba", "quorix"))
    np.testing.assert_array_equal(first ^ second, either.target)
    assert abs(_correlation(first, either.target)) < 0.2
    named = _planted("surface key")
    assert _fit(np.stack([np.array(named.key) == letter for letter in "ABC"], 1), named.target) > 0.9


def test_numbers_and_places_in_texts_give_the_target() -> None:
    written = _planted("surface number sum")
    numbers = np.array([[float(n) for n in re.findall(r"\d+", text)] for text in written.texts])
    assert (
        max(abs(_correlation(numbers.sum(1), written.target)), abs(_correlation(numbers @ [1, -1], written.target)))
        > 0.98
    )
    placed = _planted("surface place of word")
    places = np.array([text.lower().split().index("zumba") for text in placed.texts])
    assert _correlation(places, placed.target) > 0.98
    ordered = _planted("surface order of words")
    first = np.array([text.lower().index("zumba") < text.lower().index("quorix") for text in ordered.texts])
    np.testing.assert_array_equal(first, ordered.target)
    walk = _planted("order walk").target
    assert _correlation(walk[1:], walk[:-1]) > 0.9


def test_outputs_give_the_target() -> None:
    linear = _planted("output linear")
    np.testing.assert_allclose(linear.probs @ MIDPOINTS, linear.target)
    curved = _planted("output curved")
    ordered = np.sort(curved.probs, 1)
    shapes = (entropy(curved.probs, axis=1), ordered[:, -1], np.log(ordered[:, -1] / ordered[:, -2]))
    assert max(_correlation(shape, curved.target) for shape in shapes) == pytest.approx(1)


@pytest.mark.parametrize(("kind", "times"), [("copies x3", 3), ("copies x5", 5)])
def test_copies_are_copies_with_one_label(kind: str, times: int) -> None:
    planted = _planted(kind)
    assert set(Counter(planted.texts).values()) == {times}
    assert len(set(zip(planted.texts, planted.target.tolist(), strict=True))) == len(set(planted.texts))


@pytest.mark.parametrize(("kind", "least", "most"), [("near copies", 60, 120), ("templates", 18, 25)])
def test_alike_texts_are_seen_to_be_alike(kind: str, least: int, most: int) -> None:
    planted = _planted(kind)
    groups = content_groups(planted.texts, LIKENESS).group
    assert least <= len(set(groups.tolist())) <= most
    assert len(set(zip(groups.tolist(), planted.target.tolist(), strict=True))) == len(set(groups.tolist()))


def test_stores_hold_the_claim(tmp_path: Path) -> None:
    claim = make_claim("true strong", 1)
    write_for_linear_probes(tmp_path / "a", claim)
    write_for_introspection(tmp_path / "b", claim)
    linear, study = open_store(tmp_path / "a" / "store"), open_store(tmp_path / "b" / "store")
    assert linear.table([TARGET]).column(0).to_pylist() == claim.planted.target.tolist()
    assert {column.name for column in COLUMNS} <= set(study.column_names)
    confidence = study.table(["self_confidence"]).column(0).to_numpy()
    assert _correlation(confidence, claim.planted.target) == pytest.approx(1)
    assert linear.field("hidden_states").lengths().tolist() == [2] * len(claim.planted.texts)


def test_what_is_right_and_what_is_falsely_supported_is_counted() -> None:
    words = [
        ("noise", "not supported"),
        ("noise", SUPPORTED),
        ("true strong", SUPPORTED),
        ("true strong", "exit code 2"),
    ]
    claims = [Judged(kind, 0, LINEAR, word, KINDS[kind].right, {}, 1.0) for kind, word in words]
    assert Tally.of(claims) == Tally(4, 2, 1)
    table = confusion(claims)
    assert "| noise | 1/2 | 1 |" in table
    assert table.splitlines()[2].startswith("| true strong | 1/2 | **1** |")


def test_a_stopped_benchmark_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "claims.jsonl"
    cases = cases_of(["noise"], [0, 1], "both", [])
    assert [(case.seed, case.task) for case in cases] == [(s, t) for s in (0, 1) for t in (LINEAR, INTROSPECTION)]
    known = [Judged("noise", case.seed, case.task, "not supported", KINDS["noise"].right, {}, 1.0) for case in cases]
    for claim in known:
        add_line(file, claim)
    whole = file.read_text()
    file.write_text(whole[:-20])  # killed within the last line
    assert [*read_lines(file)] == known[:-1]
    add_line(file, known[-1])
    assert file.read_text() == whole
    assert finished(cases, file, 1) == known
    assert capsys.readouterr().out == "", "nothing is judged again"
    assert [*read_lines(tmp_path / "none")] == []
    assert known[0].case == Case("noise", 0, LINEAR)


def test_shuffled_cases_are_the_same_in_another_order_seed_by_seed() -> None:
    kinds = ["noise", "true strong", "copies x3", "surface length", "output linear", "true bare"]
    plain, shuffled = (cases_of(kinds, [0, 1], "both", [], random) for random in (False, True))
    assert plain != shuffled
    assert sorted(map(str, plain)) == sorted(map(str, shuffled))
    assert [case.seed for case in shuffled] == [0] * 11 + [1] * 11, "the bare store is none of study 3"
    assert shuffled == cases_of(kinds, [0, 1], "both", [], True)


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("surface number larger", LINEAR),
        ("surface order of words", LINEAR),
        ("true in turn", LINEAR),
        ("groups of speakers 40", INTROSPECTION),
        ("true in long template", INTROSPECTION),
    ],
)
def test_a_claim_is_judged_as_it_is(kind: str, task: str) -> None:
    claim = judge(Case(kind, 0, task))
    assert claim.is_right, claim.verdict
