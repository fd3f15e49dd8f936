"""Study 3 as NumPy files: padding on either side, folders by either name, indices that point at the answer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.introspection.export import export_npy
from lit_experiments.experiments.introspection.passes import answer_states, passes

SHORT = {"mcq": "mcq", "self_confidence": "self_conf", "other_confidence": "other_conf"}


@pytest.fixture(scope="module", params=["all", "answer", "last_5"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    words = ["--num_questions", "9", "--accelerator", "cpu", "--positions", request.param]
    assert main(["collect", "--exp", "introspection", *words, "--run", str(folder)]) == EXIT_DONE
    return folder


def export(run: Path, out: Path, *words: str) -> int:
    return main(["export", str(run), "--format", "npy", "--out", str(out), *words])


def read(folder: Path) -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray]:
    states = np.load(folder / "activations_layer_03.npy")
    return json.loads((folder / "metadata.json").read_text()), np.load(folder / "mask.npy"), states


@pytest.mark.parametrize("pad", ["left", "right"])
def test_the_index_in_the_metadata_is_the_answer_s_on_either_side(run: Path, tmp_path: Path, pad: str) -> None:
    assert export(run, tmp_path / "out", "--pad", pad) == EXIT_DONE
    store = stores.open_store(run / "store")
    for kind, rows in passes(store).items():
        metadata, mask, states = read(tmp_path / "out" / kind)
        answers = answer_states(store, rows, 3)
        at = [row["answer_token_index"] for row in metadata]
        np.testing.assert_array_equal(states[np.arange(9), at].astype(float), answers)
        if pad == "left":
            np.testing.assert_array_equal(states[:, -1].astype(float), answers)
        assert mask[:, -1 if pad == "left" else 0].all()
        assert not states[~mask].any()
        assert {row["padding"] for row in metadata} == {pad}
        for row in metadata:
            assert row["answer_position"] == len(row["input_ids"]) - 1
            assert row.get("confidence_token_index") == (None if kind == "mcq" else row["answer_token_index"])
            assert list(row["options"]) == ["A", "B", "C", "D"]
    config = json.loads((tmp_path / "out" / "run_config.json").read_text())
    assert (config["padding"], config["questions"]) == (pad, 9)


def test_both_sides_hold_the_same_states(run: Path, tmp_path: Path) -> None:
    for pad in ("left", "right"):
        assert export(run, tmp_path / pad, "--pad", pad) == EXIT_DONE
    for kind in SHORT:
        (_, left, x), (_, right, y) = (read(tmp_path / pad / kind) for pad in ("left", "right"))
        np.testing.assert_array_equal(x[left], y[right])
        np.testing.assert_array_equal(left.sum(1), right.sum(1))


def test_without_padding_each_question_has_an_array_of_its_own(run: Path, tmp_path: Path) -> None:
    for pad in ("right", "none"):
        assert export(run, tmp_path / pad, "--pad", pad) == EXIT_DONE
    for kind in SHORT:
        _, mask, padded = read(tmp_path / "right" / kind)
        folder = tmp_path / "none" / kind
        assert not (folder / "mask.npy").exists()
        metadata = json.loads((folder / "metadata.json").read_text())
        for question, row in enumerate(metadata):
            states = np.load(folder / "activations_layer_03" / f"{question:05d}.npy")
            np.testing.assert_array_equal(states, padded[question, mask[question]])
            assert row["answer_token_index"] == len(states) - 1


def test_right_is_the_default_and_short_names_are_the_same_folders(run: Path, tmp_path: Path) -> None:
    assert export(run, tmp_path / "usual") == EXIT_DONE
    assert export(run, tmp_path / "short", "--short_names") == EXIT_DONE
    for kind, short in SHORT.items():
        for name in ("metadata.json", "mask.npy", "activations_layer_05.npy"):
            assert (tmp_path / "usual" / kind / name).read_bytes() == (tmp_path / "short" / short / name).read_bytes()
    config = json.loads((tmp_path / "short" / "run_config.json").read_text())
    assert config["passes"] == {short: kind for kind, short in SHORT.items()}
    assert config["padding"] == "right"


def test_a_question_that_some_pass_lacks_is_in_no_folder_and_counted(run: Path, tmp_path: Path) -> None:
    store = stores.open_store(run / "store")
    export_npy(store.select(slice(2, None)), tmp_path / "out", "left", short_names=False)
    names = [[row["question_id"] for row in read(tmp_path / "out" / kind)[0]] for kind in SHORT]
    assert names[0] == names[1] == names[2]
    assert len(names[0]) == 7
    config = json.loads((tmp_path / "out" / "run_config.json").read_text())
    assert config["rows_of_incomplete_questions_left_out"] == 4
    with pytest.raises(ValueError, match="no question in all of its passes"):
        export_npy(store.select([0, 10]), tmp_path / "none", "left", short_names=False)


@pytest.mark.parametrize(
    "words", [["--pad", "middle"], ["--pad", "left", "--format", "jsonl"], ["--short_names", "--format", "parquet"]]
)
def test_padding_of_what_is_not_padded_is_a_mistake(
    run: Path, tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(run, tmp_path / "out", *words) == EXIT_USER
    assert words[0] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_passes_go_by_their_short_names_wherever_they_are_named(run: Path, tmp_path: Path) -> None:
    words = ["--num_questions", "2", "--accelerator", "cpu", "--passes", "[self_conf, mcq]", "--positions", "answer"]
    assert main(["collect", "--exp", "introspection", *words, "--run", str(tmp_path)]) == EXIT_DONE
    store = stores.open_store(tmp_path / "store")
    assert list(dict.fromkeys(store.table(["prompt_type"]).column(0).to_pylist())) == ["self_confidence", "mcq"]
    assert store.fingerprint["settings"]["passes"] == ["self_confidence", "mcq"]
    words[5] = "[self_confidence, self_conf]"
    assert main(["collect", "--exp", "introspection", *words, "--run", str(tmp_path / "twice")]) == EXIT_USER
