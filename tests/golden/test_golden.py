"""The numbers of all pipelines are what they were.

The bound is wide enough for another processor (states are stored as float16, so a sum in another order may turn a
rounding: one part in a thousand of a component) and for one resample more or less beside a threshold, and far below
what any change of a formula, a split, a seed or an order of rows makes.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE
from tests.agreement import disagreements
from tests.golden.pipelines import GOLDEN, Golden, numbers, read, run

CLOSE = {"rel_tol": 5e-3, "abs_tol": 5e-3}
NEAR = {"rel_tol": 0.1, "abs_tol": 0.05}
SHARE, ALL = 0.97, 0.998
"""Of the numbers that are close, and that are near. One word or resample beside a threshold moves a few of them
further; where two models of the surface do alike in training, another processor's rounding may choose the other one,
and the few numbers of that one claim move freely."""
EFFORT = ("/iterations",)
"""Ends of paths of what a fit took, which says nothing of what came out."""


@dataclass(frozen=True)
class Made:
    """A pipeline's runs, and every number of their results."""

    golden: Golden
    folder: Path
    computed: dict[str, float]


@pytest.fixture(scope="module", params=GOLDEN, ids=lambda golden: golden.name)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    golden: Golden = request.param
    if golden.model != "embedded" and not Path(golden.model).exists():
        pytest.skip("the real model's folder is absent")
    folder = tmp_path_factory.mktemp(golden.name)
    return Made(golden, folder, dict(numbers(run(golden, folder))))


def test_every_number_of_a_pipeline_is_what_it_was(made: Made) -> None:
    expected, computed = read(made.golden), made.computed
    results = [path for path in expected if not path.endswith(EFFORT)]
    assert list(expected.keys() ^ computed.keys())[:5] == []
    for bound, share in ((CLOSE, SHARE), (NEAR, ALL)):
        differing = [path for path in results if not _is_within(expected[path], computed[path], bound)]
        shown = [(path, expected[path], computed[path]) for path in differing[:20]]
        assert len(differing) <= (1 - share) * len(results), shown


def test_no_two_pages_of_a_pipeline_disagree(made: Made) -> None:
    """Numbers, intervals, verdicts and sentences of all pages, the audit's and the index too."""
    assert disagreements(made.folder) == []


def test_every_collection_of_a_pipeline_is_what_its_model_computes(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two rows of each store, computed again."""
    runs = [path.parent.parent for path in sorted(made.folder.glob("*/store/store.json"))]
    capsys.readouterr()
    for path in runs:
        code = main(["verify", str(path), "--recompute", "2"])
        assert code == EXIT_DONE, capsys.readouterr().out


def _is_within(one: float, other: float, bound: dict[str, float]) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, **bound)
