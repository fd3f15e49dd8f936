"""What a fit tells the Trainer's loggers of every layer while it goes on."""

import numpy as np
import pytest
from lightning.pytorch.loggers import Logger
from logistic_cases import SETTINGS, classed
from probe_cases import fit, module, planted, trainer

from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.lda import DiscriminantProbe
from lit_experiments.probes.logistic import LogisticProbe
from lit_experiments.probes.mean_difference import MeanDifferenceProbe


class Curves(Logger):
    """Keeps the numbers of cross-validated scores by name and step."""

    name, version = "curves", 0

    def __init__(self):
        super().__init__()
        self.scores = {}

    def log_metrics(self, metrics, step=None):
        for name, value in metrics.items():
            if "/cv_r2/" in name or "/cv_accuracy/" in name:
                assert (name, step) not in self.scores
                self.scores[name, step] = value

    def log_hyperparams(self, params, *args, **kwargs):
        """Nothing of these is looked at."""


@pytest.mark.parametrize("memory_bytes", [1 << 30, 1])
@pytest.mark.parametrize("rows", [200, 10])
def test_ridge_logs_the_cross_validated_r2_of_every_layer_and_target(tmp_path, rows, memory_bytes):
    x, y, _ = planted(rows=rows)
    data, curves = module(x, y, shuffles=2), Curves()
    probe = fit(data, tmp_path, memory_bytes=memory_bytes, logger=curves, max_epochs=-1)
    y_train = np.asarray(y)[data.fold != TEST].reshape(-1, len(data.real_targets))
    for t, name in enumerate(data.real_targets):
        error = probe.solution.cv_mse.mean(1).amin(1)[:, t].numpy()
        for layer, expected in enumerate(1 - error / y_train[:, t].var()):
            assert curves.scores.pop((f"ridge/cv_r2/{name}", layer)) == pytest.approx(expected, rel=1e-9)
    assert not curves.scores


@pytest.mark.parametrize(
    ("make", "several"),
    [
        (lambda: LogisticProbe(["a", "b", "c"], [1e-2, 1.0], **SETTINGS | {"memory_bytes": 1}), False),
        (lambda: LogisticProbe(["a", "b", "c"], [1e-2, 1.0], **SETTINGS), False),
        (lambda: DiscriminantProbe({"0": ["a", "b", "c"]}, [0.1, 0.9]), True),
        (lambda: MeanDifferenceProbe({"0": ["a", "b", "c"]}), True),
    ],
)
def test_classes_log_the_cross_validated_accuracy_of_every_layer(tmp_path, make, several):
    x, y, _ = classed(rows=150, layers=3)
    data, curves, probe = module(x, y, shuffles=2), Curves(), make()
    trainer(tmp_path, logger=curves, max_epochs=-1).fit(probe, datamodule=data)
    solution = probe.solutions["0"] if several else probe.solution
    for layer in range(3):
        penalty = int(solution.penalty_index[layer, 0])
        expected = float(solution.cv_accuracy[layer, :, penalty, 0].mean())
        logged = curves.scores.pop((f"{probe.log_name}/cv_accuracy/0", layer))
        assert logged == pytest.approx(expected, rel=1e-12)
    assert not curves.scores
