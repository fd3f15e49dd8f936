"""Any probe as a joblib file, and classifiers read from one: only such, and only whole."""

import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
from logistic_cases import classed, fit_classes, usual
from probe_cases import fit, module, planted
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.probes.class_probe import ClassProbe, save_class_probe
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.save import save_probe
from lit_experiments.probes.sklearn_files import read_classifier, write_sklearn

X, Y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 3


@pytest.mark.parametrize("classes", [2, 3])
def test_a_class_probe_is_written_as_a_classifier_with_its_probabilities(tmp_path: Path, classes: int) -> None:
    x, y, _ = classed(rows=120, classes=classes)
    data = usual(x, y, layers=["top", "other"])
    names = ["VERB", "ADJ", "NOUN"][:classes]
    probe = ClassProbe.of(fit_classes(data, tmp_path / "run", [1e-2], names).solution, data, {}, {})
    save_class_probe(probe, tmp_path / "probe")
    assert main(["export", str(tmp_path / "probe"), "--format", "sklearn", "--out", str(tmp_path / "p.joblib")]) == 0
    read, digest = read_classifier(tmp_path / "p.joblib")
    assert list(read.classes_) == names
    assert len(digest) == 64
    np.testing.assert_allclose(read.predict_proba(x[:, 0].astype(float)), probe.predict_proba(x[:, 0]), atol=1e-12)


def test_linear_probes_are_written_by_target(tmp_path: Path) -> None:
    x, y, _ = planted(rows=100)
    data = module(x, y, layers=["a", "b", "c"], targets=["one", "two"])
    probe = LinearProbe.of(fit(data, tmp_path / "run").solution, data)
    save_probe(probe, tmp_path / "probe")
    write_sklearn(tmp_path / "probe", tmp_path / "p.joblib")
    for target, pipeline in joblib.load(tmp_path / "p.joblib").items():
        rows = x[:, data.layers.index(probe.layer_of(target))].astype(float)
        np.testing.assert_allclose(pipeline.predict(rows), probe.predict(rows, target), rtol=1e-10)


def test_a_folder_of_probes_names_them_and_nothing_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y, _ = planted(rows=100)
    data = module(x, y, layers=["a", "b", "c"], targets=["one", "two"])
    save_probe(LinearProbe.of(fit(data, tmp_path / "run").solution, data), tmp_path / "probes" / "mcq" / "one")
    out = tmp_path / "p.joblib"
    command = ["export", str(tmp_path / "probes"), "--format", "sklearn", "--out", str(out)]
    assert main(command) == EXIT_USER
    assert f"Below it there are: {tmp_path / 'probes' / 'mcq' / 'one'}." in capsys.readouterr().err
    command[1] += "/mcq/one"
    assert main(command) == EXIT_DONE
    before = out.read_bytes()
    assert main(command) == EXIT_USER
    assert main([*command[:-1], str(tmp_path / "nowhere" / "p.joblib")]) == EXIT_USER
    assert "Cannot write" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert main([*command, "--pad", "left"]) == EXIT_USER


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"clf": LogisticRegression().fit(X, Y)}, "holds a dict, which has no predict_proba"),
        (LinearSVC().fit(X, Y), "holds a LinearSVC, which has no predict_proba"),
        (Ridge().fit(X, Y), "holds a Ridge, which has no predict_proba"),
        (LogisticRegression(), "a LogisticRegression that is not fitted"),
        (KNeighborsClassifier().fit(X, np.stack([Y, Y], 1)), "fitted to several targets"),
        ([1, 2], "holds a list"),
    ],
)
def test_what_is_no_classifier_is_refused_by_name(tmp_path: Path, content: object, message: str) -> None:
    joblib.dump(content, tmp_path / "p.joblib")
    with pytest.raises(ProbeError, match=message):
        read_classifier(tmp_path / "p.joblib")


def missing_module() -> bytes:
    return pickle.dumps(LogisticRegression()).replace(
        b"sklearn.linear_model._logistic", b"sklearn.linear_model._absentia"
    )


@pytest.mark.parametrize(
    "content", [b"", b"no pickle", b"\x80\x04", missing_module(), pickle.dumps(LogisticRegression().fit(X, Y))[:200]]
)
def test_damaged_files_are_one_message(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.joblib").write_bytes(content)
    with pytest.raises(ProbeError, match="cannot be read as a joblib file"):
        read_classifier(tmp_path / "p.joblib")
