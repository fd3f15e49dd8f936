"""Real models on real text: greedy is greedy; surprise rises from the model's text to human text to shuffled text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import stores
from lit_experiments.cli import main
from lit_experiments.cli.pipeline_commands import given_to, grouped, plan
from lit_experiments.cli.pipeline_file import read_pipeline
from lit_experiments.errors import EXIT_DONE
from lit_experiments.lm.locate import locate_model

SHARED = Path(__file__).parents[4] / "shared"
STORIES, WIKITEXT = SHARED / "models" / "stories260K-hf", SHARED / "data" / "wikitext2" / "test.txt"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the folder ../shared is not there")
FIFTY = ("--min_tokens=150", "--max_tokens=350", "--n_samples=50")
FEW = ("--n_samples=6", "--max_new_tokens=40")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("embedded", "embedded", FEW), id="documentation"),
        pytest.param((str(STORIES), str(WIKITEXT), FIFTY), id="wikitext", marks=needs_shared),
    ],
)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, paragraphs, sizes = request.param
    folder = tmp_path_factory.mktemp("real") / "run"
    argv = ["--exp", "prefill_dynamics", "--run", str(folder)]
    which = [f"--model={model}", f"--paragraphs={paragraphs}", "--accelerator=cpu", *sizes]
    assert main(["collect", *argv, *which]) == EXIT_DONE
    assert main(["analyze", *argv, "--bootstraps=300"]) == EXIT_DONE
    return folder


def test_greedy_text_is_what_greedy_decoding_of_the_same_model_gives(run: Path) -> None:
    store = stores.open_store(run / "store")
    folder = locate_model(store.provenance["config"]["options"]["model"], None, with_weights=True).folder
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    most = store.fingerprint["settings"]["max_new_tokens"]
    rows = [r for r in store.table().to_pylist() if r["condition"] == "model"]
    for row in rows[:10]:
        prompt = torch.tensor([tokenizer(row["prompt"])["input_ids"]])
        # Else `generate` takes each <unk> of WikiText for padding.
        given = {"attention_mask": torch.ones_like(prompt), "pad_token_id": 0}
        theirs = model.generate(prompt, do_sample=False, max_new_tokens=most, **given)[0].tolist()
        ended = row["stop_reason"] == "end_of_text"
        assert row["input_ids"] == theirs[: len(theirs) - ended]
        assert len(row["input_ids"]) - prompt.shape[1] == most or ended


def test_surprise_rises_from_the_model_s_text_to_human_to_shuffled(run: Path) -> None:
    levels = json.loads((run / "prefill_dynamics" / "perplexity.json").read_text())["conditions"]
    ce = {name: levels[name]["ce_continuation"] for name in ("model", "human", "shuffled")}
    assert ce["model"]["high"] < ce["human"]["low"]
    assert ce["human"]["high"] < ce["shuffled"]["low"]


def test_the_sentence_agrees_with_the_interval(run: Path) -> None:
    metrics = json.loads((run / "prefill_dynamics" / "activation_metrics.json").read_text())
    pair = next(c for c in metrics["contrasts"] if (c["a"], c["b"]) == ("human", "model"))
    gap = pair["over_layers"]["smoothness"]["difference"]
    word = "more smoothly than" if gap["low"] > 0 else "more roughly than" if gap["high"] < 0 else "is not seen to move"
    assert word in metrics["interpretation"]["sentences"][0]


@needs_shared
def test_wikitext_s_odd_paragraphs_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["collect", "--exp=prefill_dynamics", f"--run={tmp_path}", f"--model={STORIES}", f"--paragraphs={WIKITEXT}"]
    assert main([*argv, "--min_tokens=150", "--max_tokens=350", "--limit=4"]) == EXIT_DONE
    output = capsys.readouterr().out
    assert "2185 paragraphs, 706 headings" in output
    assert "683 are usable" in output
    assert "hold <unk>" in output
    assert len(stores.open_store(tmp_path / "store")) == 4


def commands(*words: str) -> list[list[str] | None]:
    pipeline = read_pipeline("prefill_dynamics")
    return [planned.command for planned in plan(pipeline, given_to(pipeline, grouped(words)))]


def test_the_pipeline_reads_twice_and_asks_for_a_reader_of_one_s_own_elsewhere() -> None:
    first, second, analysis = commands("--run", "here")
    assert first is not None
    assert "--run=here" in first
    assert second is not None
    assert {"--run=here-reader", "--generations=here", "--reader_adapter=embedded"} <= set(second)
    assert analysis is not None
    assert commands("--preset", "full")[1] is None
    collecting, reading, _ = commands(
        "--preset", "full", "--reader", "google/gemma-2-2b-it", "--reader_adapter", "null"
    )
    assert collecting is not None
    assert "google/gemma-2-2b-it" not in collecting
    assert reading is not None
    assert "google/gemma-2-2b-it" in reading
    assert "--generations=runs/prefill_dynamics-full" in reading
