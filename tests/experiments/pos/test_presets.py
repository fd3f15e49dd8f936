"""The full presets mean the layer that the study's authors name: hidden_states[12], the output of block 11."""

from lit_experiments.cli.configs import find, read_yaml


def full(verb: str, name: str) -> dict:
    return read_yaml(find(verb, name))["presets"]["full"]["init_args"]


def test_one_layer_is_collected_probed_and_scanned_and_it_is_the_twelfth_block_s() -> None:
    layer = full("collect", "pos_resample")["layer"]
    assert layer == full("train", "pos_probe")["layer"] == f"resid_post.{12 - 1}"
    assert layer in full("collect", "pos_tokens")["sites"]


def test_the_full_introspection_asks_a_thousand_questions() -> None:
    assert full("collect", "introspection")["num_questions"] == 1000
