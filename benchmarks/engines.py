"""Both engines side by side, in one process, interleaved: what reading all sites costs over the bare prefill of vLLM,
and continuations per second of study 1, `generate` among them. For an environment that has vLLM (`make setup-vllm`):

    OMP_NUM_THREADS=1 .venv-vllm/bin/python -m benchmarks.engines [--rounds 7]

Times are CPU seconds of this process, user and system, so that others on the machine do not count; medians [least,
most]. Both engines compute with as many threads as OMP_NUM_THREADS says.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import torch

from lit_experiments.lm.engine import Engine
from lit_experiments.lm.engines import load_engine
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.lm.transformers_engine import TransformersEngine
from lit_experiments.lm.vllm_engine.engine import VllmEngine
from lit_experiments.sources.contexts import read_contexts

CONTEXTS, DRAWS, STEPS = 4, 96, 40
SIZES = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 2048}
SPEC = ModelSpec("embedded", None, None, "float32", "auto")

Work = Callable[[], object]


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--part", choices=["embedded", "wide"], default="embedded")
    options = parser.parse_args()
    if options.part == "wide":
        with tempfile.TemporaryDirectory() as folder:
            model = wide_model(Path(folder))
            report_reading(replace(SPEC, model=str(model), engine="vllm"), 12, options.rounds)
        return
    fast = report_reading(replace(SPEC, engine="vllm"), 64, options.rounds)
    report_continuing(load_engine(SPEC, "cpu"), fast, options.rounds)


def wide_model(folder: Path) -> Path:
    """A Llama of random weights, as wide and deep as GPT-2, with the embedded model's tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from lit_experiments.lm.info import read_info

    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(vocab_size=2048, max_position_embeddings=512, **SIZES)).save_pretrained(folder)
    read_info(SPEC).tokenizer.save_pretrained(folder)
    return folder


def report_reading(spec: ModelSpec, texts: int, rounds: int) -> VllmEngine:
    """Prints what reading all sites of `texts` texts costs; returns the engine."""
    engine = load_engine(spec, "cpu")
    assert isinstance(engine, VllmEngine), "--engine vllm"
    sequences = [[(31 * i + 7 * k) % engine.info.vocab_size for i in range(60 + 5 * (k % 16))] for k in range(texts)]
    tokens = sum(map(len, sequences))
    requests = [(ids, replace_row(engine, row)) for row, ids in enumerate(sequences)]
    work: dict[str, Work] = {
        "bare prefill": lambda: engine.run(requests),
        "one site": lambda: engine.capture(sequences, ["resid_post.last"]),
        "all sites": lambda: engine.capture(sequences, engine.info.sites),
    }
    times = interleaved(work, rounds)
    print(f"{engine.info.n_layers} blocks of {engine.info.d_model}, {len(engine.info.sites)} sites, {tokens:,} tokens")
    bare = times["bare prefill"]
    for name, seconds in times.items():
        ratios = [one / base for one, base in zip(seconds, bare, strict=True)]
        print(f"{name:16} {spread(seconds)} s   over bare {spread(ratios)}")
    return engine


def replace_row(engine: VllmEngine, row: int) -> Any:
    """The parameters of a request that reads, without our mark: vLLM computes, and nobody looks."""
    params = engine.read_params(row)
    params.extra_args = None
    return params


def report_continuing(exact: Engine, fast: Engine, rounds: int) -> None:
    """Prints continuations per CPU second of study 1's sampling."""
    assert isinstance(exact, TransformersEngine), "--engine transformers"
    contexts = read_contexts("embedded", None).texts[:CONTEXTS]
    prompts = [exact.info.tokens.encode(text) for text in contexts]
    work: dict[str, Work] = {
        "vllm": lambda: continued(fast, prompts),
        "transformers": lambda: continued(exact, prompts),
        "generate": lambda: generated(exact, prompts),
    }
    times = interleaved(work, rounds)
    count = CONTEXTS * DRAWS
    print(f"{CONTEXTS} contexts, {DRAWS} continuations of {STEPS} tokens each")
    for name, seconds in times.items():
        ratios = [theirs / ours for theirs, ours in zip(times["transformers"], seconds, strict=True)]
        print(f"{name:16} {spread([count / s for s in seconds])} continuations/s   to transformers {spread(ratios)}")


def continued(engine: Engine, prompts: list[list[int]]) -> object:
    """As study 1 continues contexts."""
    decoder = engine.decoder(["final_norm"])
    state = decoder.prefill(prompts)
    keys = [StreamKey(0, f"context-{k}", draw) for k in range(len(prompts)) for draw in range(DRAWS)]
    return decoder.sample(state.fork(DRAWS), STEPS, Sampling(1, 1, 0), keys, feed_last=False)


def generated(engine: TransformersEngine, prompts: list[list[int]]) -> object:
    """Hugging Face's own way, context by context: copies of the prompt, the global generator's noise."""
    out = []
    for ids in prompts:
        rows = torch.tensor([ids] * DRAWS)
        settings = {"max_new_tokens": STEPS, "min_new_tokens": STEPS, "do_sample": True, "top_k": 0, "top_p": 1.0}
        with torch.inference_mode():
            mask = torch.ones_like(rows)
            out.append(engine.lm.model.generate(rows, attention_mask=mask, pad_token_id=0, **settings))
    return out


def interleaved(work: dict[str, Work], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of every kind of work in every round, after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for counted in range(rounds + 1):
        for name, act in work.items():
            start = process_time()
            act()
            if counted:
                times[name].append(process_time() - start)
    return times


def spread(values: list[float]) -> str:
    """Median [least, most]."""
    return f"{median(values):.3g} [{min(values):.3g}, {max(values):.3g}]"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
