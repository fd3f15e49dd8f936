"""Data sets with classes, and scikit-learn's answer to them, shared by the logistic tests."""

import warnings

import numpy as np
from probe_cases import module, trainer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.logistic import LogisticProbe

SETTINGS = {"tolerance": 1e-9, "max_iterations": 300, "memory_bytes": 1 << 26}


def classed(rows=400, layers=2, hidden=8, classes=3, strength=3.0, bias=0.0, seed=0):
    """x [row, layer, hidden] float32 and codes y [row] that layer 0 tells, up to noise; the other layers are noise.

    bias: log-odds taken from each further class, for imbalance.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, layers, hidden)).astype(np.float32)
    weights = rng.normal(size=(hidden, classes)) * strength / np.sqrt(hidden)
    logits = x[:, 0] @ weights - bias * np.arange(classes)
    return x, (logits + rng.gumbel(size=(rows, classes))).argmax(1), weights


def ill(rows, hidden, decades, seed=0):
    """Features [row, 1, hidden] whose covariance has a spectrum over so many decades, rotated, far from 0."""
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(hidden, hidden)))
    x = (rng.normal(size=(rows, hidden)) * np.logspace(0, -decades / 2, hidden)) @ rotation.T
    return (x * 10.0 ** rng.uniform(-2, 2, hidden) + rng.normal(0, 3, hidden)).astype(np.float32)[:, None]


def fit_classes(data, folder, penalties, classes, checkpoint=None, trainer_settings=None, **settings):
    """A logistic probe trained on `data`, whose codes are positions in `classes` names or a number of them."""
    names = classes if isinstance(classes, list) else [f"c{k}" for k in range(classes)]
    probe = LogisticProbe(names, penalties, **(SETTINGS | settings))
    passes = {"max_epochs": -1} | (trainer_settings or {})
    trainer(folder, **passes).fit(probe, datamodule=data, ckpt_path=checkpoint)
    return probe


def train_part(data, y):
    """Numbers of the training rows with a label."""
    return np.flatnonzero((data.fold != TEST) & ~np.isnan(np.asarray(y, float)))


def sklearn_fit(x, y, penalty):
    """Pipeline fitted to x [row, hidden] in float64, its objective in our scaling, and its probabilities."""
    model = LogisticRegression(C=1 / (penalty * len(y)), tol=1e-12, max_iter=100_000)
    pipeline = make_pipeline(StandardScaler(), model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.fit(x.astype(np.float64), y)
    probability = pipeline.predict_proba(x.astype(np.float64))
    loss = -np.log(probability[np.arange(len(y)), np.searchsorted(model.classes_, y)]).mean()
    return pipeline, loss + penalty / 2 * (model.coef_**2).sum(), probability


def usual(x, y, groups=None, **settings):
    """An ArrayDataModule for classes."""
    return module(x, y, groups, **settings)
