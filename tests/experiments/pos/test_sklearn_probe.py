"""A scikit-learn classifier as the probe of `pos_resample`: refused until trusted, checked, and the same numbers."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.pos.words import open_words
from tests.experiments.pos.conftest import EXACT, Toy, run

FEW = {"num_samples": 2, **EXACT}
NUMBERED = ["X", "PUNCT", "VERB", "NOUN", "PRON", "ADV", "_"]  # class 0, 1, ...: not the order of tags


def collect(toy: Toy, folder: Path, probe: Path, **options: Any) -> int:
    about = {"model": toy.model, "probe": probe, "tokens": toy.tokens, **FEW}
    return run("collect", "pos_resample", folder, **about | {"trust_pickle": "true", "layer": "resid_post.0"} | options)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return stores.open_store(folder / "store").table().to_pylist()


def training_words(toy: Toy) -> tuple[np.ndarray, np.ndarray]:
    words = open_words(toy.tokens)
    lines = words.of_part("train")
    return words.states(lines, "resid_post.0"), words.table["upos"].to_numpy(str)[lines]


@pytest.fixture(scope="module")
def exported(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sklearn") / "probe.joblib"
    assert main(["export", str(toy.probe), "--format", "sklearn", "--out", str(path)]) == EXIT_DONE
    return path


def test_our_own_probe_exported_finds_the_same_words_with_the_same_probabilities(
    toy: Toy, exported: Path, tmp_path: Path
) -> None:
    options = {"model": toy.model, "probe": toy.probe, **FEW}
    assert run("collect", "pos_resample", tmp_path / "own", **options) == EXIT_DONE
    assert collect(toy, tmp_path / "theirs", exported) == EXIT_DONE
    ours, theirs = rows_of(tmp_path / "own"), rows_of(tmp_path / "theirs")
    assert [row["sample_id"] for row in theirs] == [row["sample_id"] for row in ours]
    for a, b in zip(ours, theirs, strict=True):
        assert b["probe_probs"] == pytest.approx(a["probe_probs"], abs=1e-12)
        assert {k: v for k, v in b.items() if k != "probe_probs"} == {k: v for k, v in a.items() if k != "probe_probs"}
    prints = [stores.open_store(tmp_path / name / "store").fingerprint["settings"] for name in ("own", "theirs")]
    assert prints[0]["probe"] != prints[1]["probe"]
    assert prints[0] | {"probe": ""} == prints[1] | {"probe": ""}


def test_nothing_is_unpickled_unless_it_is_trusted(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "touched",))

    joblib.dump(Harmful(), tmp_path / "p.joblib")
    assert collect(toy, tmp_path / "run", tmp_path / "p.joblib", trust_pickle="false") == EXIT_USER
    assert "--trust_pickle true" in capsys.readouterr().err
    assert not (tmp_path / "touched").exists()
    assert not (tmp_path / "run" / "store").exists()


def test_numbered_classes_get_their_tags_by_number_whatever_their_order(toy: Toy, tmp_path: Path) -> None:
    states, tags = training_words(toy)
    named = LogisticRegression(max_iter=500).fit(states, tags)
    numbered = LogisticRegression(max_iter=500).fit(states, [NUMBERED.index(tag) for tag in tags])
    for name, classifier in (("named", named), ("numbered", numbered)):
        joblib.dump(classifier, tmp_path / f"{name}.joblib")
    assert collect(toy, tmp_path / "a", tmp_path / "named.joblib") == EXIT_DONE
    listed = f"[{', '.join(NUMBERED)}]"
    assert collect(toy, tmp_path / "b", tmp_path / "numbered.joblib", probe_classes=listed) == EXIT_DONE
    a, b = rows_of(tmp_path / "a"), rows_of(tmp_path / "b")
    assert [row["sample_id"] for row in a] == [row["sample_id"] for row in b]
    settings = stores.open_store(tmp_path / "b" / "store").fingerprint["settings"]
    assert settings["classes"] == ["ADV", "NOUN", "PRON", "PUNCT", "VERB"]
    for x, y in zip(a, b, strict=True):
        assert y["probe_probs"] == pytest.approx(x["probe_probs"], abs=1e-3)
        assert y["probe_pred"] == settings["classes"][int(np.argmax(y["probe_probs"]))]


def test_another_file_or_other_names_of_its_classes_are_another_run(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    states, tags = training_words(toy)
    numbers = [NUMBERED.index(tag) for tag in tags]
    path = tmp_path / "p.joblib"
    joblib.dump(LogisticRegression().fit(states, numbers), path)
    listed = f"[{', '.join(NUMBERED)}]"
    assert collect(toy, tmp_path / "run", path, probe_classes=listed) == EXIT_DONE
    turned = "[X, VERB, PUNCT, NOUN, PRON, ADV]"
    assert collect(toy, tmp_path / "run", path, probe_classes=turned) == EXIT_USER
    joblib.dump(LogisticRegression(C=0.5).fit(states, numbers), path)
    assert collect(toy, tmp_path / "run", path, probe_classes=listed) == EXIT_USER
    assert "settings.probe" in capsys.readouterr().err


class Wild:
    """Classes as they should be, and numbers that are no probabilities."""

    def __init__(self, values: list[float]) -> None:
        self.classes_, self.values = np.array(["NOUN", "VERB"]), values

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return np.tile(self.values, (len(x), 1))


def fitted(toy: Toy, names: Any = None, width: int | None = None) -> LogisticRegression:
    states, tags = training_words(toy)
    labels = tags if names is None else [names(tag) for tag in tags]
    return LogisticRegression().fit(states[:, :width], labels)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (fitted, {"layer": "null"}, "does not say which layer's states it reads"),
        (fitted, {"layer": "resid_post.9"}, "holds no states of resid_post.9; it has: resid_post.0"),
        (lambda toy: fitted(toy, width=3), {}, "takes vectors of 3 numbers; the states of resid_post.0 have"),
        (lambda toy: fitted(toy, names=str.lower), {}, "adv, noun, pron, punct, verb: not 5 different tags"),
        (lambda toy: fitted(toy, names=NUMBERED.index), {}, "do not say what tags they are"),
        (lambda toy: fitted(toy, names=NUMBERED.index), {"probe_classes": "[X, ADV]"}, "names those from 0 to 1"),
        (lambda toy: fitted(toy, names=NUMBERED.index), {"probe_classes": "[X, ADV, ADV, X, X, NOUN]"}, "not 5 diff"),
        (lambda toy: fitted(toy, names=lambda tag: float(len(tag))), {"probe_classes": "[X]"}, "has a class 3.0"),
        (fitted, {"probe_classes": "[ADV]"}, "names its classes itself"),
        (lambda toy: RidgeClassifier().fit(*training_words(toy)), {}, "a RidgeClassifier, which has no predict_proba"),
        (lambda _: Wild([0.5, 0.6]), {}, "that are no probabilities"),
        (lambda _: Wild([1.5, -0.5]), {}, "that are no probabilities"),
        (lambda _: Wild([float("nan"), 1.0]), {}, "that are no probabilities"),
        (lambda _: Wild([0.2, 0.3, 0.5]), {}, "that are no probabilities"),
    ],
)
def test_what_would_give_wrong_probabilities_is_refused(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Any, options: dict[str, Any], message: str
) -> None:
    joblib.dump(make(toy), tmp_path / "p.joblib")
    assert collect(toy, tmp_path / "run", tmp_path / "p.joblib", **options) == EXIT_USER
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run" / "store").exists()


def test_names_for_our_own_probe_s_classes_are_a_mistake(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(toy, tmp_path / "run", toy.probe, probe_classes="[ADV]") == EXIT_USER
    assert "leave out --probe_classes" in capsys.readouterr().err
