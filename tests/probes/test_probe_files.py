"""Probes on disk and as scikit-learn pipelines."""

import numpy as np
import pytest
from probe_cases import change_json, fit, module, planted

from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.save import load_probe, save_probe


@pytest.fixture
def trained(tmp_path):
    x, y, _ = planted(rows=100)
    y[..., 1] = 3 * x[:, 2, :1]
    x[:, :, 4] = 2.5
    data = module(x, y, layers=["a", "b", "c"], targets=["one", "two"])
    return x, LinearProbe.of(fit(data, tmp_path / "run").solution, data)


def test_saved_and_loaded_predicts_the_same_and_knows_its_layers(trained, tmp_path):
    x, probe = trained
    save_probe(probe, tmp_path / "probe")
    back = load_probe(tmp_path / "probe", probe.fingerprint)
    assert {path.name for path in (tmp_path / "probe").iterdir()} == {"probe.safetensors", "probe.json"}
    assert (back.targets, back.layers) == (("one", "two"), ("b", "c"))
    for target, layer in (("one", 1), ("two", 2)):
        assert (back.predict(x[:, layer], target) == probe.predict(x[:, layer], target)).all()
        assert (probe.only(target).predict(x[:, layer], target) == probe.predict(x[:, layer], target)).all()


def test_sklearn_pipeline_predicts_the_same(trained):
    x, probe = trained
    for target, layer in (("one", 1), ("two", 2)):
        pipeline = probe.to_sklearn(target)
        expected = probe.predict(x[:, layer], target)
        assert pipeline.predict(x[:, layer].astype(np.float64)) == pytest.approx(expected, rel=1e-12)
        assert pipeline.fit(x[:, layer].astype(np.float64), expected)


def test_a_probe_of_other_data_is_refused_with_what_differs(trained, tmp_path):
    save_probe(trained[1], tmp_path)
    with pytest.raises(ProbeError, match="model differ"):
        load_probe(tmp_path, trained[1].fingerprint | {"model": "another"})
    assert load_probe(tmp_path, None).targets == ("one", "two")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / "probe.json").unlink(), "holds no probe"),
        (lambda f: (f / "probe.safetensors").unlink(), "vouches for"),
        (lambda f: (f / "probe.json").write_text("{"), "damaged"),
        (lambda f: (f / "probe.json").write_text("[]"), "no lit-experiments-linear-probe"),
        (lambda f: change_json(f, version=2), "version 2"),
        (lambda f: change_json(f, hidden=13), "do not fit"),
        (lambda f: change_json(f, signed=False, hidden=13), "not as it was written"),
        (lambda f: change_json(f, layers=["a"]), "1 layers for 2 targets"),
        (lambda f: change_json(f, targets=["one"]), "names 1 targets"),
    ],
)
def test_damage_is_refused_with_its_reason(trained, tmp_path, damage, reason):
    save_probe(trained[1], tmp_path)
    damage(tmp_path)
    with pytest.raises(ProbeError, match=reason):
        load_probe(tmp_path, None)


def test_a_flipped_bit_in_the_weights_is_noticed(trained, tmp_path):
    save_probe(trained[1], tmp_path)
    path = tmp_path / "probe.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ProbeError, match="vouches for"):
        load_probe(tmp_path, None)


def test_wrong_vectors_and_targets_are_refused(trained):
    x, probe = trained
    with pytest.raises(ProbeError, match=r"\[row, 12\]"):
        probe.predict(x[:, 0, :5], "one")
    with pytest.raises(ProbeError, match="one, two"):
        probe.layer_of("three")
