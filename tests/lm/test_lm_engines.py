"""Which engine may do what, said before anything is loaded; and stores of the first engine keep their fingerprints."""

from dataclasses import replace

import pytest

from lit_experiments.experiments.geometry.attribution import AttributionCollector
from lit_experiments.lm.engines import load_engine
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.info import read_info
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.lm.vllm_engine import identity as identity_module

SPEC = ModelSpec("embedded", None, None, "float32", "auto")
FAST = replace(SPEC, engine="vllm")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if vLLM 9.9 were installed: what is asked of its version alone."""
    monkeypatch.setattr(identity_module, "version", lambda package: "9.9")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "vlm"}, "transformers, vllm"),
        ({"tensor_parallel": 2}, "--engine vllm"),
        ({"engine": "vllm", "tensor_parallel": 0}, "cannot be 0"),
        ({"engine": "vllm", "pipeline_parallel": 2}, "--tensor_parallel"),
        ({"engine": "vllm", "attn": "eager"}, "no --attn"),
        ({"engine": "vllm", "quantization": "4bit"}, "no --quantization"),
        ({"engine": "vllm", "device_map": "auto"}, "no --device_map"),
    ],
)
def test_options_that_an_engine_has_no_use_for_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        replace(SPEC, **options)  # type: ignore[arg-type]


def test_a_study_that_reaches_into_the_model_refuses_the_other_engine() -> None:
    with pytest.raises(ModelError, match=r"AttributionCollector reaches into the model[\s\S]*--engine transformers"):
        AttributionCollector.check_engine(FAST)


def test_the_engine_is_part_of_the_fingerprint_and_the_first_one_is_not(installed: None) -> None:
    exact, fast = read_info(SPEC).fingerprint(), read_info(FAST).fingerprint()
    assert "engine" not in exact
    assert fast["engine"] == {"name": "vllm", "version": "9.9", "tensor_parallel": 1}
    assert fast["attn"] == "vllm"
    assert read_info(replace(FAST, tensor_parallel=2)).fingerprint() != fast


def test_without_vllm_one_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_module, "PACKAGES", ("no-such-package",))
    with pytest.raises(ModelError, match="make setup-vllm"):
        load_engine(FAST, "cpu")
    with pytest.raises(ModelError, match="make setup-vllm"):
        read_info(FAST).fingerprint()
