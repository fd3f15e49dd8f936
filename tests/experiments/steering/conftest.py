"""A model that writes more odd words the larger one dimension of its stream is, and probes that read that dimension."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_experiments.cli import main
from lit_experiments.lm.info import read_info
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.probes.class_probe import ClassProbe, save_class_probe
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.save import save_probe
from tests.toys import parity_model

WIDTH = 32
SPREAD = 1.5


@dataclass(frozen=True)
class Planted:
    """The model's folder, its fingerprint, and folders of probes: of a number, of two and of three classes, and of one
    that nobody noted a spread for."""

    model: Path
    fingerprint: dict[str, Any]
    number: Path
    two: Path
    three: Path
    bare: Path
    prompts: Path


def linear_probe(fingerprint: dict[str, Any], notes: dict[str, Any], width: int = WIDTH) -> LinearProbe:
    """Reads 2 * (dimension 0 - 0.5) + 3 at resid_post.0, standardised."""
    mean, scale = np.full((1, width), 0.25), np.full((1, width), 2.0)
    weights = np.zeros((1, width))
    weights[0, 0] = 4.0
    intercept, penalty = np.array([2.5]), np.ones(1)
    arrays = (weights, mean, scale, intercept, penalty)
    return LinearProbe(("odd",), ("resid_post.0",), *arrays, {"model": fingerprint}, 10, notes)


def class_probe(classes: tuple[str, ...], fingerprint: dict[str, Any]) -> ClassProbe:
    """`odd` is the more likely, the larger dimension 0 is; other dimensions tell the third class."""
    generator = np.random.default_rng(1)
    weights = np.zeros((len(classes), WIDTH))
    weights[classes.index("even"), 0], weights[classes.index("odd"), 0] = -1.0, 1.0
    if len(classes) > 2:
        weights[-1, 1:] = generator.standard_normal(WIDTH - 1)
    mean, scale, intercept = np.zeros(WIDTH), np.full(WIDTH, 0.5), generator.standard_normal(len(classes))
    return ClassProbe(classes, "resid_post.1", weights, mean, scale, intercept, 0.1, fingerprint, {}, 10, {})


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    folder = tmp_path_factory.mktemp("planted")
    model = parity_model(folder / "model")
    fingerprint = read_info(ModelSpec(str(model), None, None, "float32", "auto")).fingerprint()
    spread = {"spread": {"resid_post.0": SPREAD}}
    save_probe(linear_probe(fingerprint, spread), folder / "number")
    save_probe(linear_probe(fingerprint, {}), folder / "bare")
    save_class_probe(class_probe(("even", "odd"), fingerprint), folder / "two")
    save_class_probe(class_probe(("even", "odd", "prime"), fingerprint), folder / "three")
    generator = np.random.default_rng(0)
    lines = [" ".join(f"w{n}" for n in generator.integers(0, 40, generator.integers(2, 9))) for _ in range(8)]
    (folder / "prompts.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    probes = {name: folder / name for name in ("number", "two", "three", "bare")}
    return Planted(model, fingerprint, prompts=folder / "prompts.txt", **probes)


def steer(planted: Planted, run: Path, **options: Any) -> int:
    """`collect --exp steering` on the planted model; exit code."""
    merged = {"model": planted.model, "probe": planted.number, "prompts": planted.prompts, **options}
    words = [f"--{name}={value}" for name, value in merged.items()]
    return main(["collect", "--exp", "steering", "--accelerator", "cpu", "--run", str(run), *words])
