"""One call trains a probe and leaves a checkpoint to go on from."""

import pytest
import torch
from probe_cases import PENALTIES, module, planted

from lit_experiments.errors import UserError
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.probes.training import fit

FLAGS = {"accelerator": "cpu", "devices": 1}


def data():
    x, y, _ = planted(rows=100)
    return module(x, y, block_bytes=4 * 3 * 12 * 4)


def test_a_pass_cut_short_goes_on_from_its_last_checkpoint(tmp_path):
    cut, resumed, whole = (RidgeProbe(PENALTIES) for _ in range(3))
    fit(cut, data(), FLAGS | {"limit_train_batches": 22}, tmp_path / "a", None)
    with pytest.raises(ProbeError, match="22 of 25"):
        _ = cut.solution
    again, read = data(), []
    inner = again.block
    again.block = lambda index: read.append(index) or inner(index)
    fit(resumed, again, FLAGS, tmp_path / "a", "last")
    assert read[0] >= 20
    assert read[-1] == 24
    fit(whole, data(), FLAGS, tmp_path / "b", "last")
    assert torch.equal(resumed.solution.coef, whole.solution.coef)
    assert bool(torch.isfinite(whole.solution.coef).all())


def test_flags_that_the_trainer_does_not_take_are_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="precison"):
        fit(RidgeProbe(PENALTIES), data(), FLAGS | {"precison": "bf16"}, tmp_path, None)
