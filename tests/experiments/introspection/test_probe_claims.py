"""Claims of study 3: alike questions stay together, shuffles too; a readout of the output is known by its values."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lit_experiments.controls.split import SplitOptions
from lit_experiments.experiments.introspection.passes import open_introspection
from lit_experiments.experiments.introspection.probe_controls import definition_of
from lit_experiments.experiments.introspection.probe_data import read_questions_of, shuffled
from lit_experiments.experiments.introspection.probe_targets import Target
from lit_experiments.experiments.introspection.prompts import MIDPOINTS
from lit_experiments.sources.content_groups import Likeness
from tests.experiments.introspection.planted import SELF, noise, write_store

OPTIONS = SplitOptions("auto", None, None, Likeness(0.5, 0.7), 0.3, 5, 0)
CONFIDENCE = f"{SELF}.{SELF}"


def number(values: np.ndarray) -> Target:
    return Target(CONFIDENCE, values, (), "r2", 0.0)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 texts of words in no order, each asked three times."""
    run, rng = tmp_path_factory.mktemp("copied"), np.random.default_rng(0)
    words = np.array(["".join(rng.choice(list("abcdefgh"), 6)) for _ in range(400)])
    texts = [" ".join(rng.choice(words, 12)) for _ in range(40)] * 3
    write_store(run, {SELF: noise(120, 1)}, {SELF: rng.uniform(5, 95, 120)}, columns={SELF: {"question_text": texts}})
    return run


def test_copies_of_a_question_are_on_one_side(copied: Path) -> None:
    questions = read_questions_of(open_introspection(copied), OPTIONS)
    texts = questions.rows[SELF]["question_text"].to_numpy()
    assert not set(texts[questions.test]) & set(texts[~questions.test])
    summary = questions.split.summary
    assert (summary.groups, summary.largest_group, summary.copies, summary.neighbours) == (40, 3, 80, 0)
    assert summary.twins_by_row > 0.9 * summary.test_rows
    alone = read_questions_of(open_introspection(copied), replace(OPTIONS, group_by="id")).split.summary
    assert (alone.groups, alone.largest_group) == (120, 1)
    assert alone.neighbours > 0.9 * alone.test_rows


def test_shuffles_move_whole_groups_and_leave_gaps() -> None:
    group = np.repeat([f"g{i}" for i in range(10)], 2)
    values = np.repeat(np.arange(10.0), 2)
    values[-2:] = np.nan
    moved = shuffled(number(values), 0, 3, group).values
    assert np.isnan(moved[-2:]).all()
    assert sorted(moved[:-2]) == sorted(values[:-2])
    assert (moved[0:18:2] == moved[1:18:2]).all()
    assert (moved[:-2] != values[:-2]).any()


def test_a_readout_of_the_output_is_known_by_its_values() -> None:
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.ones(len(MIDPOINTS)), 50)
    rows = pd.DataFrame({"probs": list(probs), "letters": [list("STUVWXYZ")] * 50})
    expected = number(probs @ np.array(MIDPOINTS))
    assert definition_of(expected, rows, SELF) == "expected confidence"
    assert definition_of(expected, rows, "mcq") == ""
    assert definition_of(number(-(probs * np.log(probs)).sum(1)), rows, SELF) == "entropy"
    near = expected.values + 0.01 * expected.values.std() * rng.normal(size=50)
    assert definition_of(number(near), rows, SELF) == ""
    assert definition_of(expected, rows.assign(probs=None), SELF) == ""
