"""What docs/architectures.md says of an architecture is what its tiny model can do, and every number is right."""

from pathlib import Path

import pytest
from further_models import AROUND, FURTHER, abilities, further_model
from tiny_models import save, spec

from lit_experiments.lm.architectures import layout_of
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.load import load

TABLE = Path(__file__).parents[2] / "docs" / "architectures.md"


@pytest.mark.parametrize("name", [*FURTHER, *AROUND])
def test_the_table_says_what_it_can_do(tmp_path, name):
    result = abilities(load(spec(save(further_model(name), tmp_path)), "cpu"))
    row = f"| {name} | {result.sites} | {result.decoding} | {result.branches} | {result.attribution} |"
    assert row in TABLE.read_text(encoding="utf-8").splitlines()


def test_several_residual_streams_are_refused_with_the_reason():
    with pytest.raises(ModelError, match="several residual streams"):
        layout_of(type("Config", (), {"model_type": "deepseek_v4"})(), "here")
