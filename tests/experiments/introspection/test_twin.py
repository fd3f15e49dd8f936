"""The random-weights twin reads what the model read, at the same position, and is probed alike."""

import json
from pathlib import Path

import numpy as np
import pytest

from lit_experiments.cli import main
from lit_experiments.controls.split import SplitOptions
from lit_experiments.errors import EXIT_DONE, UserError
from lit_experiments.experiments.introspection.passes import open_introspection
from lit_experiments.experiments.introspection.probe_data import read_questions_of
from lit_experiments.experiments.introspection.probe_targets import read_targets
from lit_experiments.experiments.introspection.twin import TwinSettings, forget_states, random_states, twin_states
from lit_experiments.lm.capture import capture
from lit_experiments.lm.load import load_untrained
from lit_experiments.probes.scratch_states import ScratchStates
from lit_experiments.sources.content_groups import Likeness
from lit_experiments.tasks.random_twin import model_of
from tests.tolerance import EMBEDDED, assert_close

PASSES = ["mcq", "self_confidence"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    some = ["--num_questions", "60", "--passes", json.dumps(PASSES), "--positions", "last_3"]
    assert main(["collect", "--exp", "introspection", "--run", str(folder), *some]) == EXIT_DONE
    return folder


def test_states_are_those_of_fresh_weights_at_the_answer_position(run: Path, tmp_path: Path) -> None:
    store = open_introspection(run)
    questions = read_questions_of(store, SplitOptions("auto", None, None, Likeness(0.5, 0.7), 0.3, 5, 0))
    states_of = read(twin_states(store, questions.rows, settings(back=1), tmp_path))
    before = read(twin_states(store, questions.rows, settings(back=3), tmp_path))
    lm = load_untrained(model_of(store), "cpu", 0)
    for kind in PASSES:
        row = questions.rows[kind].iloc[17]
        one = capture(lm, [row.input_ids.tolist()], store.schema.coords["layer"])
        states = one.values.float().numpy() * np.exp2(one.exponents.numpy()[..., None].astype(np.float32))
        assert_close(states_of[kind][17], states[:, -1], EMBEDDED, stored=True)
        assert_close(before[kind][17], states[:, -3], EMBEDDED, stored=True)
    for path in tmp_path.iterdir():
        path.write_bytes(bytes(path.stat().st_size))
    again = read(twin_states(store, questions.rows, settings(back=1), tmp_path))
    assert not again["mcq"].any(), "other processes take what the first one left"
    forget_states(tmp_path)
    assert not list(tmp_path.iterdir())


def settings(back: int, count: int = 1) -> TwinSettings:
    return TwinSettings(back, 0, count, 4096, "cpu")


def read(states: dict[str, ScratchStates]) -> dict[str, np.ndarray]:
    return {kind: file.read(np.arange(file.entries), list(range(len(file.layers)))) for kind, file in states.items()}


def test_targets_solved_for_together_are_predicted_as_one_by_one_and_a_twin_goes_when_it_has_served(
    run: Path, tmp_path: Path
) -> None:
    store = open_introspection(run)
    questions = read_questions_of(store, SplitOptions("auto", None, None, Likeness(0.5, 0.7), 0.3, 5, 0))
    targets = read_targets(
        questions.rows, ["mcq.entropy", "self_confidence.entropy", "mcq.parsed_answer"], questions.part, 4
    ).targets
    assert len({target.columns.shape[1] for target in targets}) > 1
    random = random_states(store, questions.rows, settings(1, 3), None, tmp_path)
    together = random.predictions(targets, questions, [1.0, 100.0])
    assert len(list(tmp_path.iterdir())) == len(PASSES), "the first twin's states alone are left"
    for target in targets:
        alone = random.predictions([target], questions, [1.0, 100.0])
        for kind in PASSES:
            assert together[kind][target.key].shape[1] == 2
            np.testing.assert_allclose(together[kind][target.key], alone[kind][target.key], rtol=1e-9, atol=1e-12)


def test_a_twin_knows_less_than_the_model(run: Path) -> None:
    targets = "[self_confidence.self_confidence, mcq.parsed_answer]"
    quick = ["--bootstraps", "200", "--permutations", "99", "--shuffles", "19", "--fewest", "4"]
    argv = ["train", "--exp", "introspection_probes", "--run", str(run), "--targets", targets, *quick]
    assert main([*argv, "--accelerator", "cpu"]) == EXIT_DONE
    out = run / "introspection_probes"
    pairs = json.loads((out / "metrics.json").read_text())["pairs"]
    assert len(pairs) == 4
    matching = [
        p for p in pairs if (p["states"], p["target"]) == ("self_confidence", "self_confidence.self_confidence")
    ]
    twin = matching[0]["controls"]["twin"]
    assert len(twin["by_layer"]) == 6
    assert matching[0]["chosen"]["score"]["value"] > 0.3 > twin["score"]["value"]
    assert twin["difference"]["value"] == pytest.approx(
        matching[0]["chosen"]["score"]["value"] - twin["score"]["value"]
    )
    assert not list(out.glob("twin-*"))


def test_another_model_under_the_same_name_is_refused(run: Path) -> None:
    store = open_introspection(run)
    store.fingerprint["model"]["model"] = {"weights": "others"}
    with pytest.raises(UserError, match="is not the model that filled"):
        model_of(store)
