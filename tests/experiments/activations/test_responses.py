"""What the model writes after a text, and the states of it: against transformers' own generate and a second pass."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.load import load
from lit_experiments.lm.score import token_log_probs
from lit_experiments.lm.spec import ModelSpec
from tests.experiments.activations.conftest import collect, jsonl, rows_of, states_of
from tests.tolerance import assert_close

TEXTS = ["The cat", "a", "On the mat it sat", "b b b", "zz top", "No?"]
FIELDS = "[last, mean, response, response_mean, response_last]"


@pytest.fixture(scope="module")
def run(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("responses")
    table = jsonl(folder / "t.jsonl", [{"text": text} for text in TEXTS])
    options = {"model": llama, "texts": table, "sites": "resid_*.2", "positions": FIELDS}
    assert collect(folder / "run", **options, generate=12) == EXIT_DONE
    return folder / "run"


def test_greedy_responses_are_those_of_generate(llama: Path, run: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(llama)
    for row in rows_of(run):
        ids = torch.tensor([row["input_ids"]])
        with torch.inference_mode():
            theirs = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
        written = theirs[0, ids.shape[1] :].tolist()
        assert row["response_ids"] == written
        assert row["stop_reason"] == ("eos" if written[-1] == 0 else "length")


def test_states_and_log_probabilities_are_those_of_reading_the_whole(llama: Path, run: Path) -> None:
    lm = load(ModelSpec(str(llama), None, None, "float32", "auto"), "cpu")
    stored = {name: states_of(run, f"hidden_{name}") for name in FIELDS.strip("[]").split(", ")}
    sites = ["resid_pre.2", "resid_mid.2", "resid_post.2"]
    for k, row in enumerate(rows_of(run)):
        ids, size = [*row["input_ids"], *row["response_ids"]], len(row["input_ids"])
        exact = np.stack([exact_states(lm, [ids], [site])[site].numpy() for site in sites])
        written = exact[:, size:]
        assert_close(stored["response"][k], written, stored=True)
        assert_close(stored["response_last"][k], written[:, -1], stored=True)
        assert_close(stored["response_mean"][k], written.mean(1), stored=True, scale=np.abs(written).max())
        assert_close(stored["last"][k], exact[:, size - 1], stored=True)
        scores = token_log_probs(lm, [ids])[0][size - 1 :].numpy()
        assert_close(row["response_log_probs"], scores, scale=30.0)


def test_a_response_s_text_leaves_out_its_stop_token(llama: Path, tmp_path: Path) -> None:
    """With sampling this model ends about one response in 256 steps by itself; 40 responses of 40 hold some."""
    table = jsonl(tmp_path / "t.jsonl", [{"text": f"{k}"} for k in range(40)])
    options = {"model": llama, "texts": table, "generate": 40, "temperature": 3.0, "positions": "response"}
    assert collect(tmp_path / "run", **options) == EXIT_DONE
    rows = rows_of(tmp_path / "run")
    ended = [row for row in rows if row["stop_reason"] == "eos"]
    assert 0 < len(ended) < len(rows)
    lm = load(ModelSpec(str(llama), None, None, "float32", "auto"), "cpu")
    for row, states in zip(rows, states_of(tmp_path / "run", "hidden_response"), strict=True):
        stopped = row["stop_reason"] == "eos"
        assert (row["response_ids"][-1] == 0) == stopped
        assert row["response"] == lm.decode(row["response_ids"][:-1] if stopped else row["response_ids"])
        assert states.shape[1] == len(row["response_ids"]) == len(row["response_log_probs"])


def test_sampled_responses_depend_on_seed_and_sample_alone(llama: Path, tmp_path: Path) -> None:
    table = jsonl(tmp_path / "t.jsonl", [{"text": "same text"} for _ in range(6)])
    options = {"model": llama, "texts": table, "generate": 8, "temperature": 1.0, "top_k": 50, "top_p": 0.9}
    for name, changes in {"one": {}, "two": {"batch_size": 2}, "few": {"limit": 3}, "other": {"seed": 1}}.items():
        assert collect(tmp_path / name, **options, **changes) == EXIT_DONE
    written = {
        name: [row["response_ids"] for row in rows_of(tmp_path / name)] for name in ("one", "two", "few", "other")
    }
    assert written["one"] == written["two"]
    assert written["one"][:3] == written["few"]
    assert written["one"] != written["other"]
    assert len({tuple(ids) for ids in written["one"]}) > 1, "copies of a text get responses of their own"


GIVEN = ["sat there.", " is all", "x"]


@pytest.mark.parametrize("source", ["column", "file", "text file"])
def test_given_responses_are_read_behind_the_texts(llama: Path, tmp_path: Path, source: str) -> None:
    records = [
        {"text": text, "reply": reply, "kind": k} for k, (text, reply) in enumerate(zip(TEXTS, GIVEN * 2, strict=True))
    ]
    table = jsonl(tmp_path / "t.jsonl", records)
    where: Path | str = "reply"
    if source == "file":
        where = jsonl(tmp_path / "replies.jsonl", [{"response": row["reply"]} for row in records])
    if source == "text file":
        where = tmp_path / "replies.txt"
        where.write_text("".join(f"{row['reply']}\n" for row in records), encoding="utf-8")
    options = {"model": llama, "texts": table, "text_column": "text", "sites": "resid_*.2", "positions": FIELDS}
    assert collect(tmp_path / "run", **options, completions=where) == EXIT_DONE
    lm = load(ModelSpec(str(llama), None, None, "float32", "auto"), "cpu")
    stored = {name: states_of(tmp_path / "run", f"hidden_{name}") for name in FIELDS.strip("[]").split(", ")}
    for k, (row, record) in enumerate(zip(rows_of(tmp_path / "run"), records, strict=True)):
        ids, size = lm.encode(record["text"] + record["reply"]), len(row["input_ids"])
        assert [*row["input_ids"], *row["response_ids"]] == ids
        assert (row["text"], row["response"]) == (record["text"], record["reply"])
        assert row["stop_reason"] == "given"
        assert ("reply" in row) == (source != "column")
        exact = exact_states(lm, [ids], ["resid_post.2"])["resid_post.2"].numpy()
        assert_close(stored["response"][k][-1], exact[size:], stored=True)
        assert_close(stored["response_last"][k][-1], exact[-1], stored=True)
        assert_close(stored["last"][k][-1], exact[size - 1], stored=True)
        assert_close(row["response_log_probs"], token_log_probs(lm, [ids])[0][size - 1 :].numpy(), scale=30.0)


def test_a_token_across_the_border_is_the_response_s(tmp_path: Path) -> None:
    """The embedded model's tokenizer has words: "parameters" is cut inside of one."""
    table = jsonl(tmp_path / "t.jsonl", [{"text": "The par", "reply": "ameters of a function"}])
    assert (
        collect(tmp_path / "run", texts=table, text_column="text", completions="reply", positions="last") == EXIT_DONE
    )
    (row,) = rows_of(tmp_path / "run")
    tokens = load(ModelSpec("embedded", None, None, "float32", "auto"), "cpu").info.tokens
    ids, spans = tokens.encode_with_spans("The parameters of a function")
    assert [*row["input_ids"], *row["response_ids"]] == ids
    assert [end for _, end in spans[: len(row["input_ids"])]][-1] <= len("The par")
    assert spans[len(row["input_ids"])][1] > len("The par")


def test_given_answers_of_conversations_stand_where_the_model_s_turn_begins(llama: Path, tmp_path: Path) -> None:
    table = jsonl(tmp_path / "t.jsonl", [{"messages": "Hello", "reply": "Good day"}])
    options = {"model": llama, "texts": table, "messages_column": "messages", "completions": "reply"}
    assert collect(tmp_path / "run", **options, positions="response") == EXIT_DONE
    (row,) = rows_of(tmp_path / "run")
    assert row["text"] == "<user>Hello\n<assistant>"
    assert (row["response"], len(row["response_ids"])) == ("Good day", 8), "one token per byte"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"completions": "replies"}, 'no column "replies"'),
        ({"completions": "reply", "generate": 3}, "leave one of them out"),
        ({"completions": "short.txt"}, "one response per text"),
        ({"completions": "reply", "too_long": "truncate_left"}, "--too_long skip"),
    ],
)
def test_wrong_completions_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: dict, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("text,reply\na b,c\nd e,f\n", encoding="utf-8")
    Path("short.txt").write_text("c\n", encoding="utf-8")
    assert collect(tmp_path / "run", texts="t.csv", **options) == EXIT_USER
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
