"""The study at full size is the study as planned."""

from typing import Any

import pytest

from lit_experiments.cli import configs
from lit_experiments.experiments.geometry.path_windows import window_lengths, window_strides

SIZES: dict[str, dict[str, Any]] = {
    "sampling_variance": {
        "temperatures": [0.0, 0.6, 1.0],
        "variance_layers": None,
        "token_checkpoints": [128, 256, 512, 1024],
        "latent_sampling_stride": 32,
    },
    "manifold": {"oracle_percentage": 0.3, "latent_sampling_stride": 32},
    "path_sensitivity": {"bifurcation_step_interval": 32, "lookahead_tokens": 64, "latent_sampling_stride": 32},
    "attribution": {},
    "clustering": {"temperature": 0.8, "latent_sampling_stride": 32},
}


@pytest.mark.parametrize("name", SIZES)
def test_full_presets_have_the_study_s_own_sizes(name: str) -> None:
    full, _ = configs.load("collect", name, "full")
    assert full["model"] == "Qwen/Qwen2.5-7B-Instruct"
    assert {key: full["init_args"][key] for key in SIZES[name]} == SIZES[name]


@pytest.mark.parametrize(("preset", "strides"), [(None, [4, 2, 1]), ("full", [32, 32])])
def test_each_window_of_path_sensitivity_has_a_stride_that_it_can_hold(preset: str | None, strides: list[int]) -> None:
    sizes = configs.load("collect", "path_sensitivity", preset)[0]["init_args"]
    lengths = window_lengths(sizes["lookahead_tokens"], sizes["shortest_window"])
    assert window_strides(sizes["latent_sampling_stride"], lengths) == strides
