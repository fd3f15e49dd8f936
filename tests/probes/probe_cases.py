"""Small data sets and trainers shared by the probe tests."""

import hashlib
import json
import warnings
from pathlib import Path

import lightning.pytorch as pl
import numpy as np

from lit_experiments.probes.array_data import ArrayDataModule
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.probes.waves import MEMORY_BYTES

PENALTIES = [0.01, 1.0, 100.0, 1e4]


def planted(rows=400, layers=3, hidden=12, targets=2, repetitions=1, noise=0.5, signal_layer=1, seed=0):
    """x [row, layer, hidden] and y [row, repetition, target], linear in one layer plus noise per repetition."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, layers, hidden)).astype(np.float32)
    weights = rng.normal(size=(hidden, targets))
    y = 5 + x[:, signal_layer] @ weights
    return x, y[:, None, :] + noise * rng.normal(size=(rows, repetitions, targets)), weights


def ill_conditioned(rows=600, hidden=20, seed=0):
    """Features [row, hidden], spectrum falling by 10^8, scales 10^-3 to 10^4, means far from 0, one dim constant."""
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(hidden, hidden)))
    x = (rng.normal(size=(rows, hidden)) * np.logspace(0, -4, hidden)) @ rotation.T
    x = x * 10.0 ** rng.uniform(-3, 4, hidden) + 10.0 ** rng.uniform(-2, 3, hidden)
    x[:, 7] = 0.1
    return x.astype(np.float32)


def module(x, y, groups=None, **settings):
    """An ArrayDataModule with this suite's usual settings, which `settings` override."""
    usual = {"test_fraction": 0.25, "folds": 4, "split_seed": 3, "block_bytes": 4096, "shuffles": 0, "shuffle_seed": 0}
    return ArrayDataModule(x, y, groups, **(usual | settings))


def trainer(folder: Path, **settings):
    """A quiet single-process CPU Trainer for one pass."""
    quiet = {
        "max_epochs": 1,
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": folder,
    }
    warnings.filterwarnings("ignore", module="lightning")
    return pl.Trainer(**(quiet | settings))


def fit(data, folder, penalties=PENALTIES, also=(), memory_bytes=MEMORY_BYTES, **settings):
    """A probe trained on `data`."""
    probe = RidgeProbe(penalties, also, memory_bytes)
    trainer(folder, **settings).fit(probe, datamodule=data)
    return probe


def change_json(folder, signed=True, **values):
    """Edits probe.json; `signed`: with the checksum of the new content, as a program that writes nonsense would."""
    path = folder / "probe.json"
    about = json.loads(path.read_text()) | values
    if signed:
        checksum = about.pop("sha256_of_this")
        about["sha256_of_this"] = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        assert (checksum == about["sha256_of_this"]) == (not values)
    path.write_text(json.dumps(about))
