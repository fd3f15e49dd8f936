"""Any saved probe as linear functions of the states themselves: equal to what the probe predicts."""

from typing import Any

import numpy as np
import pytest

from lit_experiments.probes.class_probe import ClassProbe, load_class_probe, save_class_probe
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.readout import by_layer, open_readout, require_model
from lit_experiments.probes.save import load_probe, save_probe

MODEL = {
    "model": {"weights": "a"},
    "adapter": None,
    "bos_policy": "none",
    "prefix": [],
    "dtype": "float32",
    "attn": "x",
}
RANDOM = np.random.default_rng(2)
WIDTH = 6
STATES = RANDOM.standard_normal((9, WIDTH)) * 3 + 1


def classes(count: int, layer: str = "resid_post.1", **notes: Any) -> ClassProbe:
    arrays = RANDOM.standard_normal((count, WIDTH)), RANDOM.standard_normal(WIDTH), RANDOM.uniform(0.5, 2, WIDTH)
    names = tuple("abcdef"[:count])
    return ClassProbe(names, layer, *arrays, RANDOM.standard_normal(count), 0.1, MODEL, {}, 5, notes)


def targets(count: int, layers: tuple[str, ...] | None = None, **notes: Any) -> LinearProbe:
    shape = (count, WIDTH)
    arrays = RANDOM.standard_normal(shape), RANDOM.standard_normal(shape), RANDOM.uniform(0.5, 2, shape)
    rest = RANDOM.standard_normal(count), np.ones(count), {"model": MODEL}, 5, notes
    return LinearProbe(tuple("xyz"[:count]), layers or ("resid_post.1",) * count, *arrays, *rest)


def test_scores_equal_what_the_probe_predicts(tmp_path):
    save_probe(targets(2), tmp_path / "linear")
    readout, probe = open_readout(tmp_path / "linear"), load_probe(tmp_path / "linear", None)
    for name in ("x", "y"):
        weights, intercept = readout.score(name)
        assert np.allclose(STATES @ weights + intercept, probe.predict(STATES, name))
    save_class_probe(classes(4), tmp_path / "four")
    readout, four = (
        open_readout(tmp_path / "four"),
        load_class_probe(tmp_path / "four", model=None, layer=None, classes=None),
    )
    logs = four.predict_log_proba(STATES)
    for place, name in enumerate("abcd"):
        weights, intercept = readout.score(name)
        assert np.allclose(STATES @ weights + intercept, logs[:, place] - np.delete(logs, place, 1).mean(1))
        direction = readout.direction(name)
        assert np.linalg.norm(direction) == pytest.approx(1)
        moved = four.predict_log_proba(STATES + 0.5 * direction)
        rise = moved[:, place] - np.delete(moved, place, 1).mean(1) - (STATES @ weights + intercept)
        assert np.allclose(rise, 0.5 * np.linalg.norm(weights))


def test_which_output_is_meant(tmp_path):
    for name, probe in (("two", classes(2)), ("three", classes(3))):
        save_class_probe(probe, tmp_path / name)
    save_probe(targets(1), tmp_path / "one")
    save_probe(targets(3), tmp_path / "targets")
    two, three, one, several = (open_readout(tmp_path / name) for name in ("two", "three", "one", "targets"))
    assert (two.chosen(None), two.chosen("a"), one.chosen(None), three.chosen("c")) == ("b", "a", "x", "c")
    assert three.chosen(None, free=True) is None
    assert np.allclose(two.direction("a"), -two.direction("b"))
    for readout, name in ((three, None), (several, None), (two, "c")):
        with pytest.raises(ProbeError):
            readout.chosen(name)


def test_spread_of_its_own_layer_and_class(tmp_path):
    notes = {"spread": {"resid_post.1": {"a": 1.0, "b": 2.0, "c": 3.0}, "resid_post.2": 9.0}}
    save_class_probe(classes(3, **notes), tmp_path / "three")
    save_class_probe(classes(2, layer="resid_post.2", **notes), tmp_path / "two")
    save_probe(targets(1), tmp_path / "none")
    assert open_readout(tmp_path / "three").spread("b") == 2.0
    assert open_readout(tmp_path / "two").spread("b") == 9.0
    assert open_readout(tmp_path / "none").spread("x") is None


def test_probes_of_all_layers_in_one_folder(tmp_path):
    save_class_probe(classes(2), tmp_path)
    for layer in ("resid_post.0", "resid_post.1", "resid_post.2"):
        save_class_probe(classes(2, layer), tmp_path / layer)
    save_class_probe(classes(3, "resid_post.3"), tmp_path / "resid_post.3")  # of other classes
    readout = open_readout(tmp_path)
    readers = by_layer(readout)
    assert list(readers) == ["resid_post.1", "resid_post.0", "resid_post.2"]
    assert readers["resid_post.1"] is readout


def test_models_are_compared_by_what_makes_states_others(tmp_path):
    save_class_probe(classes(2), tmp_path)
    readout = open_readout(tmp_path)
    assert require_model(readout, MODEL, WIDTH) == []
    (note,) = require_model(readout, MODEL | {"dtype": "bfloat16"}, WIDTH)
    assert "bfloat16" in note
    for other, width in ((MODEL | {"adapter": {"weights": "b"}}, WIDTH), (MODEL, WIDTH + 1)):
        with pytest.raises(ProbeError):
            require_model(readout, other, width)


@pytest.mark.parametrize("content", [None, "{", '{"format": "other"}', "[]"])
def test_what_is_no_probe_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "probe.json").write_text(content)
    with pytest.raises(ProbeError):
        open_readout(tmp_path)


def test_targets_of_several_layers_and_flat_probes_are_refused(tmp_path):
    save_probe(targets(2, ("resid_post.0", "resid_post.1")), tmp_path / "layers")
    with pytest.raises(ProbeError, match="several layers"):
        open_readout(tmp_path / "layers")
    flat = targets(1)
    flat.weights[:] = 0
    save_probe(flat, tmp_path / "flat")
    with pytest.raises(ProbeError, match="no direction"):
        open_readout(tmp_path / "flat").direction("x")
