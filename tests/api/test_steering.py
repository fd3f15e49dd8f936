"""`lit.steer`: the run and the analysis of the command line, from values in memory."""

from pathlib import Path

import numpy as np
import pytest

import lit_experiments as lit
from lit_experiments.errors import UserError
from tests.api.test_lit import FAST, READING, records

PROMPTS = ["The river", "A stone", "In the garden", "The teacher", "Some bread"]


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> lit.Steered:
    folder = tmp_path_factory.mktemp("steer")
    probes = lit.fit_probes(lit.collect(records(60), run=folder / "texts", **READING), "kind", **FAST)
    small = {"completions": 1, "max_new_tokens": 6, "random_directions": 1, "bootstraps": 20}
    return lit.steer(probes.best, PROMPTS, [-4, 4], run=folder / "steered", **small)


def test_every_direction_has_every_dose_and_strength_0(steered: lit.Steered) -> None:
    doses = steered.doses
    assert doses.groupby("direction").strength.apply(sorted).to_dict() == {
        "probe": [-4.0, 0.0, 4.0],
        "random-1": [-4.0, 0.0, 4.0],
    }
    unsteered = doses[doses.strength == 0].drop(columns="direction")
    assert np.array_equal(unsteered.iloc[0].to_numpy(), unsteered.iloc[1].to_numpy())
    of_probe = doses[doses.direction == "probe"].sort_values("strength")
    assert of_probe.reading.is_monotonic_increasing


def test_the_store_holds_the_completions_of_the_prompts(steered: lit.Steered) -> None:
    table = steered.store.to_pandas(["prompt", "strength", "direction"])
    assert set(table.prompt) == set(PROMPTS)
    assert len(steered.store) == len(PROMPTS) * 5  # strength 0 once, two strengths of two directions


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        lit.Steered(tmp_path)
