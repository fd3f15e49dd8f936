"""One rule: planted evidence gets the verdict that it must have."""

from dataclasses import replace
from math import nan

import pytest

from lit_experiments.claims import Claim, Control, Evidence, Grouping, Twins, judged
from lit_experiments.claims.cells import verdicts_matrix
from lit_experiments.claims.claim import BEYOND
from lit_experiments.claims.power import detectable_accuracy, detectable_auroc, detectable_r2
from lit_experiments.claims.rule import LEAKED, NOT, OUTPUT_EXPLAINED, SUPPORTED, SURFACE_EXPLAINED, UNDERPOWERED
from lit_experiments.statistics import Estimate

CLAIM = Claim("a", "linear_probes", "kind", "hidden", "hidden", "chosen", "row", "ridge", "x", list(BEYOND))


def estimate(value: float, half: float, n: int = 100) -> Estimate:
    return Estimate(value, value - half, value + half, n, 0.95)


def control(name: str, score: float, gain: float, half: float = 0.05) -> Control:
    return Control(name, "words", estimate(score, half), estimate(gain, half), score > 0.99)


def twins(*scores: float, half: float = 0.05) -> Twins:
    return Twins("random weights", list(scores), estimate(max(scores), half), estimate(0.6 - max(scores), half))


GROUPS = Grouping("content of text", 300, 100, 300, 100, 1, 0, 0, 0)
COPIES = replace(GROUPS, groups=100, test_groups=33, largest_group=3, joined=200, twins_by_row=60)
STRONG = Evidence(
    "r2", 0.0, estimate(0.6, 0.1), 0.001, 0.001, 0.05, 0.05,
    [control("surface", -0.01, 0.6), control("output", 0.0, 0.6)],
    twins(-0.1, 0.0, -0.02, 0.01, 0.0), None, None, GROUPS, 0.08, 19,
)  # fmt: skip
NOISE = replace(STRONG, score=estimate(-0.02, 0.05), p=0.4, p_corrected=0.4, shuffled_p=0.5)
WEAK = replace(STRONG, score=estimate(0.08, 0.06), controls=[control("surface", 0.01, 0.06, 0.07)])

UNCHANGED = Estimate(0.0, nan, nan, 100, 0.95)

CASES = {
    "strong": (STRONG, SUPPORTED),
    "weak, and the surface tells nothing": (WEAK, SUPPORTED),
    "noise": (NOISE, NOT),
    "noise on few rows": (replace(NOISE, detectable=0.5), UNDERPOWERED),
    "few groups": (replace(STRONG, score=estimate(0.6, 0.1, 4)), UNDERPOWERED),
    "significant, but the interval holds chance": (
        replace(STRONG, score=estimate(0.05, 0.06), p_corrected=0.02),
        UNDERPOWERED,
    ),
    "the permutation test decides, the interval holds chance": (replace(STRONG, score=estimate(0.3, 0.4)), SUPPORTED),
    "it does not decide on few groups": (
        replace(STRONG, score=estimate(0.3, 0.4), grouping=replace(GROUPS, test_groups=29)),
        UNDERPOWERED,
    ),
    "a twin of several tells something, all together little": (
        replace(STRONG, twins=twins(0.3, -0.1, 0.0, -0.1, 0.0, half=0.1)),
        SUPPORTED,
    ),
    "above chance, but not significant over the targets": (replace(STRONG, p_corrected=0.2), UNDERPOWERED),
    "shuffled labels do as well": (replace(STRONG, shuffled_p=0.3), UNDERPOWERED),
    "the surface tells it": (replace(STRONG, controls=[control("surface", 0.7, 0.01)]), SURFACE_EXPLAINED),
    "an imperfect surface model": (
        replace(STRONG, controls=[control("surface", 0.55, 0.055, 0.01)]),
        SURFACE_EXPLAINED,
    ),
    "the surface tells as much, but for a few rows": (
        replace(STRONG, controls=[replace(control("surface", 0.5, 0.01, 0.02), score=estimate(0.5, 0.7))]),
        SURFACE_EXPLAINED,
    ),
    "more than the surface": (replace(STRONG, controls=[control("surface", 0.3, 0.3)]), SUPPORTED),
    "more than a surface that more rows would hardly help": (
        replace(STRONG, controls=[replace(control("surface", 0.3, 0.3), growth=0.1)]),
        SUPPORTED,
    ),
    "no more than a surface would tell that was fitted to more rows": (
        replace(STRONG, controls=[replace(control("surface", 0.3, 0.3), growth=0.4)]),
        SURFACE_EXPLAINED,
    ),
    "a surface that tells nothing, and gained so little by chance": (
        replace(STRONG, controls=[replace(control("surface", 0.05, 0.29, 0.15), growth=0.26)]),
        SUPPORTED,
    ),
    "the same, of a surface that tells little yet": (
        replace(STRONG, controls=[replace(control("surface", 0.1, 0.3, 0.15), growth=0.4)]),
        SURFACE_EXPLAINED,
    ),
    "what could not be tested": (
        replace(NOISE, score=Estimate.undefined(0, 0.95), untested="not one of 5 labels has a value"),
        UNDERPOWERED,
    ),
    "the embedding tells it": (replace(STRONG, controls=[control("embedding", 0.6, 0.0)]), SURFACE_EXPLAINED),
    "the output tells it": (replace(STRONG, controls=[control("output", 0.6, 0.0)]), OUTPUT_EXPLAINED),
    "the states change nothing that the output predicts": (
        replace(STRONG, controls=[replace(control("output", 0.98, 0.0, 0.01), gain=UNCHANGED)]),
        OUTPUT_EXPLAINED,
    ),
    "the same, but for a few rows": (
        replace(STRONG, controls=[replace(control("output", 0.98, 0.0, 1.4), gain=UNCHANGED)]),
        OUTPUT_EXPLAINED,
    ),
    "the same, of an output that tells nothing": (
        replace(STRONG, controls=[replace(control("output", -0.1, 0.0), gain=UNCHANGED)]),
        UNDERPOWERED,
    ),
    "the output determines it": (replace(STRONG, controls=[control("output", 0.995, 0.2)]), OUTPUT_EXPLAINED),
    "surface before output": (
        replace(STRONG, controls=[control("surface", 0.6, 0.0), control("output", 0.6, 0.0)]),
        SURFACE_EXPLAINED,
    ),
    "a readout of the output under another name": (
        replace(STRONG, controls=[replace(control("output", 1.0, 0.0), definition="expected confidence")]),
        SUPPORTED,
    ),
    "a twin is as good": (replace(STRONG, twins=twins(0.1, 0.2, 0.65, 0.1, 0.1)), NOT),
    "a twin is nearly as good": (replace(STRONG, twins=twins(0.1, 0.58, half=0.1)), NOT),
    "copies carry it": (replace(NOISE, by_row=estimate(0.5, 0.1), grouping=COPIES), LEAKED),
    "copies of few texts carry it": (
        replace(NOISE, score=estimate(-0.4, 0.1, 4), by_row=estimate(0.5, 0.1), grouping=COPIES),
        LEAKED,
    ),
    "copies, and it is true": (replace(STRONG, by_row=estimate(0.7, 0.1), grouping=COPIES), SUPPORTED),
    "copies of noise": (replace(NOISE, by_row=estimate(0.0, 0.1), grouping=COPIES), NOT),
    "rows apart from copies lose it": (replace(STRONG, apart=estimate(0.0, 0.1)), LEAKED),
    "rows apart from copies keep it": (replace(STRONG, apart=estimate(0.5, 0.1)), SUPPORTED),
    "no value": (replace(STRONG, score=Estimate(nan, nan, nan, 100, 0.95)), UNDERPOWERED),
}


@pytest.mark.parametrize("case", CASES)
def test_planted_evidence_gets_its_verdict(case: str) -> None:
    evidence, word = CASES[case]
    verdict = judged(CLAIM, evidence).verdict
    assert verdict.word == word
    assert verdict.sentence.endswith(".")
    assert CLAIM.target in verdict.sentence


def test_only_the_controls_that_a_claim_names_decide() -> None:
    evidence = replace(STRONG, controls=[control("surface", 0.7, 0.01), control("output", 0.0, 0.6)])
    assert judged(CLAIM, evidence).verdict.word == SURFACE_EXPLAINED
    assert judged(replace(CLAIM, beyond=["output"]), evidence).verdict.word == SUPPORTED


def test_nothing_is_said_to_be_beyond_a_readout_of_the_output() -> None:
    evidence, _ = CASES["a readout of the output under another name"]
    verdict = judged(CLAIM, evidence).verdict
    assert "beyond the output" not in verdict.claims
    assert "it is the expected confidence of the model's own output" in verdict.sentence


def test_the_smallest_effect_seen_falls_with_groups() -> None:
    assert detectable_r2(30) == pytest.approx(0.2424, abs=1e-4)  # tanh(2.8016 / sqrt(27))^2
    assert detectable_auroc(50, 50) == pytest.approx(2.8016 * (101 / 30000) ** 0.5, abs=1e-4)
    assert detectable_accuracy(100, 0.5) == pytest.approx(0.14008, abs=1e-4)
    assert detectable_r2(300) < detectable_r2(30) < detectable_r2(10)
    assert detectable_auroc(5, 95) > detectable_auroc(50, 50)
    assert detectable_accuracy(2, 0.9) == pytest.approx(0.1)


def test_a_cell_says_why_where_its_interval_would_not() -> None:
    by_permutation = replace(STRONG, score=estimate(0.3, 0.4), controls=[control("surface", -0.01, 0.1, 0.2)])
    verdict = judged(CLAIM, by_permutation).verdict
    row = verdicts_matrix({"kind": (verdict, by_permutation)}).cells[0]
    assert [cell.reason for cell in row if cell is not None][:3] == [
        "permutation p 0.001",
        "permutation p 0.001",
        "surface alone tells nothing",
    ]
    assert "surface alone tells nothing" in verdict.sentence
    plain = verdicts_matrix({"kind": (judged(CLAIM, STRONG).verdict, STRONG)}).cells[0]
    assert {cell.reason for cell in plain if cell is not None} == {""}
    nothing = verdicts_matrix({"kind": (judged(CLAIM, NOISE).verdict, NOISE)}).cells[0]
    assert [cell.reason for cell in nothing if cell is not None] == ["", "", *["not readable"] * 3]
    same = replace(STRONG, controls=[replace(control("output", 0.98, 0.0, 0.01), gain=UNCHANGED)])
    assert "beyond the output (gain 0.00, the states change no prediction)" in judged(CLAIM, same).verdict.sentence
    least = replace(STRONG, twins=twins(-0.1, -0.004))
    assert "(best of 2: 0.00)" in judged(CLAIM, least).verdict.sentence
    learning = replace(STRONG, controls=[replace(control("surface", 0.3, 0.3), growth=0.4)])
    verdict = judged(CLAIM, learning).verdict
    assert "beyond the surface (gain 0.30 [0.25, 0.35], surface would learn as much from more rows)" in verdict.sentence
