"""Class probes on disk and as scikit-learn pipelines, and where they refuse to be used."""

import numpy as np
import pytest
from logistic_cases import classed, fit_classes, usual
from probe_cases import change_json

from lit_experiments.probes.class_probe import ClassProbe, load_class_probe, save_class_probe
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.save import load_probe

MODEL = {"weights": "abc", "revision": "main"}
ASK = {"model": MODEL, "layer": "top", "classes": ["NOUN", "VERB", "ADJ"]}


@pytest.fixture(params=[3, 2])
def trained(request, tmp_path):
    x, y, _ = classed(rows=120, classes=request.param)
    data = usual(x, y, layers=["top", "other"])
    probe = fit_classes(data, tmp_path / "run", [1e-2], ASK["classes"][: request.param])
    return x, ClassProbe.of(probe.solution, data, MODEL, {"excluded": ["SYM"]})


def requested(probe, **changes):
    return ASK | {"classes": list(probe.classes)} | changes


def test_saved_and_loaded_predicts_the_same(trained, tmp_path):
    x, probe = trained
    save_class_probe(probe, tmp_path / "probe")
    back = load_class_probe(tmp_path / "probe", **requested(probe))
    assert (back.predict_proba(x[:, 0]) == probe.predict_proba(x[:, 0])).all()
    assert back.predict_proba(x[:, 0]).sum(1) == pytest.approx(np.ones(120), abs=1e-12)
    assert (back.layer, back.classes, back.notes, back.rows) == ("top", probe.classes, {"excluded": ["SYM"]}, 90)
    assert (back.penalty, back.model, back.fingerprint) == (0.01, MODEL, probe.fingerprint)


def test_sklearn_pipeline_predicts_the_same(trained):
    x, probe = trained
    pipeline = probe.to_sklearn()
    rows = x[:, 0].astype(np.float64)
    assert pipeline.predict_proba(rows) == pytest.approx(probe.predict_proba(rows), abs=1e-12)
    assert set(pipeline.predict(rows)) <= set(probe.classes)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"model": {"weights": "xyz", "revision": "main"}}, "another model: weights: abc there, xyz here"),
        ({"layer": "12"}, "reads layer top, not 12"),
        ({"classes": ["VERB", "NOUN"]}, "in this order; expected VERB, NOUN"),
    ],
)
def test_another_model_layer_or_class_order_is_refused_with_the_difference(trained, tmp_path, wrong, reason):
    save_class_probe(trained[1], tmp_path)
    with pytest.raises(ProbeError, match=reason):
        load_class_probe(tmp_path, **requested(trained[1], **wrong))
    assert load_class_probe(tmp_path, model=None, layer=None, classes=None).layer == "top"


def flip(folder):
    content = bytearray((folder / "probe.safetensors").read_bytes())
    content[-3] ^= 1
    (folder / "probe.safetensors").write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / "probe.json").unlink(), "holds no probe"),
        (flip, "vouches for"),
        (lambda f: change_json(f, version=2), "version 2"),
        (lambda f: change_json(f, hidden=13), "do not fit"),
        (lambda f: change_json(f, signed=False, classes=["VERB", "NOUN", "ADJ"]), "not as it was written"),
        (lambda f: change_json(f, signed=False, layer="other"), "not as it was written"),
        (lambda f: change_json(f, format="lit-experiments-linear-probe"), "no lit-experiments-logistic-probe"),
    ],
)
def test_damage_is_refused_with_its_reason(trained, tmp_path, damage, reason):
    save_class_probe(trained[1], tmp_path)
    damage(tmp_path)
    with pytest.raises(ProbeError, match=reason):
        load_class_probe(tmp_path, model=None, layer=None, classes=None)


def test_a_class_probe_is_no_regression(trained, tmp_path):
    save_class_probe(trained[1], tmp_path)
    with pytest.raises(ProbeError, match="no lit-experiments-linear-probe"):
        load_probe(tmp_path, None)


def test_wrong_vectors_and_layers_are_refused(trained):
    x, probe = trained
    with pytest.raises(ProbeError, match=r"\[row, 8\]"):
        probe.predict_proba(x[:, 0, :5])
