"""Steering on a model that uses one direction and no other: the dose-response is what was planted."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import stores
from lit_experiments.cli import main
from lit_experiments.experiments.steering.prompts import PromptCollector
from lit_experiments.experiments.steering.result import SteeringResult
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.load import load
from lit_experiments.lm.noise import StreamKey, race_noise
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.tasks.result_files import read_result
from tests.experiments.steering.conftest import SPREAD, steer

STRENGTHS = [-8.0, -4.0, 0.0, 4.0, 8.0]
DRAWS, STEPS = 4, 20


@pytest.fixture(scope="module")
def run(planted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "steering"
    options = {"strengths": STRENGTHS, "completions": DRAWS, "max_new_tokens": STEPS, "ablate": "true"}
    assert steer(planted, folder, **options) == 0
    return folder


@pytest.fixture(scope="module")
def rows(run):
    return list(stores.open_store(run / "store").iter_rows())


def test_every_prompt_has_every_condition_once(rows):
    """The model as it is; three directions at four strengths and taken out."""
    assert len(rows) == 8 * (1 + 3 * 5)
    assert len({row["sample_id"] for row in rows}) == len(rows)
    plain = [row for row in rows if row["direction"] == "none"]
    assert [row["strength"] for row in plain] == [0.0] * 8
    assert {row["action"] for row in rows if row["strength"] is None} == {"ablate"}
    steered = next(row for row in rows if row["direction"] == "random-2" and row["strength"] == -4)
    assert steered["amounts"] == [-4 * SPREAD]


def share_of_odd(row):
    return float((row["token_ids"] % 2).mean())


def test_the_planted_direction_moves_the_text_and_random_ones_do_not(rows):
    """A word is odd with probability 1 / (1 + exp(-0.2 (strength * spread + dimension 0 of the word before)))."""
    by = {(row["prompt_id"], row["direction"], row["strength"]): row for row in rows}
    for prompt in {row["prompt_id"] for row in rows}:
        plain = by[prompt, "none", 0.0]
        for name in ("random-1", "random-2"):
            for strength in (-8.0, 8.0, None):
                assert np.array_equal(by[prompt, name, strength]["token_ids"], plain["token_ids"])
    shares = [np.mean([share_of_odd(row) for row in rows if row["direction"] == "probe" and row["strength"] == s])
              for s in (-8.0, -4.0, 4.0, 8.0)]  # fmt: skip
    expected = [1 / (1 + np.exp(-0.2 * s * SPREAD)) for s in (-8, -4, 4, 8)]
    assert np.allclose(shares, expected, atol=0.08)
    ablated = np.mean([share_of_odd(row) for row in rows if row["direction"] == "probe" and row["strength"] is None])
    assert abs(ablated - 0.5) < 0.06


def test_log_probs_are_those_of_plain_transformers_under_a_hook(planted, rows):
    """Steered: a forward hook on the whole finished text. As it is: without one."""
    model = AutoModelForCausalLM.from_pretrained(planted.model).eval()
    row = next(row for row in rows if row["direction"] == "probe" and row["strength"] == 4)

    def push(_module, _args, output):
        h = (output if isinstance(output, torch.Tensor) else output[0]).clone()
        h[..., 0] += 4 * SPREAD
        return h if isinstance(output, torch.Tensor) else (h, *output[1:])

    for draw in range(DRAWS):
        ids = torch.tensor([[*row["input_ids"], *row["token_ids"][draw].tolist()]])
        for name, hooked in (("log_probs", True), ("unsteered_log_probs", False)):
            handle = model.model.decoder.layers[0].register_forward_hook(push) if hooked else None
            with torch.no_grad():
                logits = model(ids).logits[0].log_softmax(-1)
            if handle is not None:
                handle.remove()
            expected = logits[:-1].gather(1, ids[0, 1:, None])[-STEPS:, 0].numpy()
            assert np.allclose(row[name][draw], expected, atol=1e-5)
        assert row["perplexity"][draw] == pytest.approx(np.exp(-row["unsteered_log_probs"][draw].mean()), rel=1e-5)


def test_readings_are_what_the_probe_says_of_the_tokens(rows):
    """Dimension 0 of a word is 1 or -1; the probe says 2 * (x - 0.25) + 2.5; the push adds 2 * strength * spread."""
    for row in rows:
        plain = 2 * ((row["token_ids"] % 2 * 2 - 1).mean(1) - 0.25) + 2.5
        assert np.allclose(row["unsteered_reading"], plain[:, None], atol=1e-5)
        if row["direction"] != "probe" or row["strength"] is not None:
            pushed = 2 * row["strength"] * SPREAD if row["direction"] == "probe" else 0.0
            assert row["carried"] is None or row["carried"] == pytest.approx([pushed] * 3, abs=1e-6)
            assert np.allclose(row["reading"], plain[:, None] + pushed, atol=1e-4)
        else:
            assert np.allclose(row["reading"], 2 * (0 - 0.25) + 2.5, atol=1e-5)


def test_strength_zero_is_the_model_as_it_is(planted, rows):
    """The same tokens as a decoder without steering, and as sampling by hand from transformers' logits."""
    lm = load(ModelSpec(str(planted.model), None, None, "float32", "auto"), "cpu")
    plain = [row for row in rows if row["direction"] == "none"]
    decoder = Decoder(lm)
    keys = [StreamKey(0, row["prompt_id"], draw) for row in plain for draw in range(DRAWS)]
    state = decoder.prefill([row["input_ids"] for row in plain]).fork(DRAWS)
    out = decoder.sample(state, STEPS, Sampling(1.0, 1.0, 0), keys)
    assert np.array_equal(out.token_ids.numpy().reshape(8, DRAWS, STEPS), [row["token_ids"] for row in plain])
    ids = list(plain[0]["input_ids"])
    for _ in range(STEPS):
        with torch.no_grad():
            logits = lm.model(torch.tensor([ids])).logits[0, -1]
        ids.append(int((logits + torch.from_numpy(race_noise(keys[0], len(ids), len(logits)))).argmax()))
    assert ids[-STEPS:] == plain[0]["token_ids"][0].tolist()
    tokenizer = AutoTokenizer.from_pretrained(planted.model)
    assert plain[0]["completions"][0].split() == tokenizer.decode(ids[-STEPS:]).split()


def test_batches_and_a_resumed_run_change_nothing(planted, run, rows, tmp_path):
    options = {"strengths": STRENGTHS, "completions": DRAWS, "max_new_tokens": STEPS, "ablate": "true"}
    assert steer(planted, tmp_path / "alone", **options, limit=2, batch_size=1) == 0
    assert steer(planted, tmp_path / "alone", **options, limit=3, batch_size=8) == 0
    again = {row["sample_id"]: row for row in stores.open_store(tmp_path / "alone" / "store").iter_rows()}
    assert len(again) == 3 * 16
    for row in rows:
        if row["sample_id"] in again:
            assert np.array_equal(again[row["sample_id"]]["token_ids"], row["token_ids"])
            assert np.allclose(again[row["sample_id"]]["log_probs"], row["log_probs"], atol=1e-5)


def test_the_analysis_says_what_was_planted(run):
    assert main(["analyze", "--exp", "steering", "--run", str(run), "--fluent_perplexity", "1.2"]) == 0
    result = read_result(run / "steering", SteeringResult)
    assert result.sites == ["resid_post.0", "resid_post.1", "resid_post.2"]
    (layers,) = result.sets
    assert layers.amounts == [SPREAD]
    assert np.allclose(layers.carried, 2 * SPREAD)
    probe, *random = layers.directions
    assert [direction.direction for direction in random] == ["random-1", "random-2"]
    for r in range(3):
        assert probe.response.spearman[r].value == 1
        assert probe.response.slope[r].low > 2 * SPREAD  # the push, and what it makes of the text
        assert probe.response.text_slope[r].low > 0
        assert layers.against_random[r].low > 2 * SPREAD
        assert layers.text_against_random[r].low > 0
        for direction in random:
            assert abs(direction.response.slope[r].value) < 1e-4
            assert direction.response.text_slope[r].value == 0
            assert all(abs(dose.moved[r].value) < 1e-4 for dose in direction.doses)
    assert all(direction.fluent_from == -8 and direction.fluent_to == 8 for direction in random)
    perplexity = {dose.strength: dose.log_perplexity_moved.value for dose in probe.doses}
    fluent = {s: moved <= np.log(1.2) for s, moved in perplexity.items() if s is not None}
    for s, dose in zip([*STRENGTHS, None], probe.doses, strict=True):
        assert dose.strength == s
    assert (probe.fluent_from == -8) == (fluent[-8] and fluent[-4])
    assert (run / "steering" / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"strengths": "[]"}, "strengths"),
        ({"strengths": "[0]"}, "strengths"),
        ({"strengths": "[1, 1]"}, "strengths"),
        ({"strengths": "[1, .nan]"}, "strengths"),
        ({"layers": "[7]"}, "blocks 0 to 2"),
        ({"layers": "[[]]"}, "empty"),
        ({"class": "evn"}, "no class"),
        ({"random_directions": -1}, "random_directions"),
        ({"temperature": 0}, "temperature 0"),
        ({"max_new_tokens": 63}, "--too_long"),
        ({"model": "embedded"}, "32 numbers"),
        ({"probe": "nowhere"}, "no probe"),
        ({"prompts": "nowhere.txt"}, "--prompts"),
        ({"chat_options": "{a: 1}"}, "--chat_options"),
    ],
)
def test_a_mistake_gets_one_message_and_makes_nothing(planted, tmp_path, capsys, options, expected):
    assert steer(planted, tmp_path / "run", **options) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_more_than_two_classes_need_a_name_and_two_do_not(planted, tmp_path, capsys):
    options = {"strengths": [4], "completions": 1, "max_new_tokens": 4, "num_prompts": 2, "random_directions": 0}
    assert steer(planted, tmp_path / "a", probe=planted.three, **options) == 2
    assert "--class NAME" in capsys.readouterr().err
    assert steer(planted, tmp_path / "b", probe=planted.three, **{"class": "prime"}, **options) == 0
    assert steer(planted, tmp_path / "c", probe=planted.two, **options) == 0
    store = stores.open_store(tmp_path / "c" / "store")
    assert store.fingerprint["settings"]["class"] == "odd"
    assert store.schema.coords["site"] == ["resid_post.1", "resid_post.2"]


def test_several_layers_at_once_and_a_spread_that_is_measured(planted, tmp_path):
    """Without a note the unit is the standard deviation of the prompts' tokens along the direction."""
    options = {"strengths": [2], "completions": 1, "max_new_tokens": 4, "random_directions": 0, "begin": "last"}
    assert steer(planted, tmp_path / "run", probe=planted.bare, layers="[0, [0, 2]]", **options) == 0
    rows = stores.open_store(tmp_path / "run" / "store").table().to_pylist()
    assert {tuple(row["layers"]) for row in rows} == {(), ("resid_post.0",), ("resid_post.0", "resid_post.2")}
    words = [int(word[1:]) for line in planted.prompts.read_text().splitlines() for word in line.split()]
    spread = np.std([n % 2 * 2 - 1 for n in words], ddof=1)
    both = next(row for row in rows if len(row["layers"]) == 2)
    assert both["amounts"] == pytest.approx([2 * spread] * 2)
    assert both["carried"] == pytest.approx([4 * spread, 4 * spread, 8 * spread])


def test_prompts_are_made_of_columns_or_conversations(planted, tmp_path, capsys):
    """Template and conversation give the same tokens as the text that they amount to."""
    table = tmp_path / "p.jsonl"
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    records = [{"a": "one", "b": 2, "turns": turns[:1]}, {"a": "three", "b": 4, "turns": turns[:1]}]
    table.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    plain = tmp_path / "p.txt"
    plain.write_text("one and 2\nthree and 4\n", encoding="utf-8")
    options = {"strengths": [4], "completions": 1, "max_new_tokens": 4, "random_directions": 0}
    assert steer(planted, tmp_path / "a", prompts=table, template="{a} and {b}", **options) == 0
    assert steer(planted, tmp_path / "b", prompts=plain, **options) == 0
    first, second = (stores.open_store(tmp_path / run / "store") for run in "ab")
    np.testing.assert_array_equal(first["token_ids"].read(), second["token_ids"].read())
    assert steer(planted, tmp_path / "c", prompts=table, messages_column="turns", **options) == 2
    assert "no chat template" in capsys.readouterr().err
    table.write_text(json.dumps({"turns": turns}) + "\n", encoding="utf-8")
    assert steer(planted, tmp_path / "d", prompts=table, messages_column="turns", **options) == 2
    assert "the assistant's own turn" in capsys.readouterr().err
    assert steer(planted, tmp_path / "d", template="{a}", prompts="embedded", **options) == 2
    assert "embedded prompts" in capsys.readouterr().err


def test_a_conversation_is_read_in_the_chat_template(planted, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(planted.model, model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }} {% endfor %}"
    tokenizer.save_pretrained(model)
    spec = ModelSpec(str(model), None, None, "float32", "auto")
    table = tmp_path / "p.jsonl"
    turns = [("user", "1 2"), ("assistant", "3"), ("user", "4")]
    conversation = [{"role": role, "content": content} for role, content in turns]
    table.write_text(json.dumps({"turns": conversation}) + "\n", encoding="utf-8")
    source = {"prompts": str(table), "text_column": None, "template": None, "messages_column": "turns"}
    collector = _Prompts(spec, 4, None, False, {}, None, "error", malformed="stop", quoting="auto", **source)
    (prompt,) = collector.prompts
    assert prompt.shown == "1 2 3 4 "
    assert prompt.ids == collector.info.tokens.encode("1 2 3 4 ")
    assert json.loads(prompt.text) == conversation


class _Prompts(PromptCollector):
    """Prompts that nothing is done with."""

    def samples(self):
        return []

    def schema(self):
        raise NotImplementedError

    def collect(self, batch):
        raise NotImplementedError
