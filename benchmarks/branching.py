"""What a shared cache saves: branches of one text, and many continuations of one prefix.

Random-weight GPT-2 124M, float32. In one run, interleaved, medians of ratios:
  (a) path sensitivity: 16 branches of 64 greedy tokens, one at every 32nd token of a 512-token text, from that text's
      own cache in one batch; against reading every branch's prefix anew, one after the other, and in one padded batch;
  (b) 96 sampled continuations of 16 tokens from a prefix of 60, prefilled once and forked; against Hugging Face's
      `generate` on 96 copies of the prefix.
Tokens of (a) are compared with one another; both sides of (b) sample from the same distribution, with their own noise.

    python benchmarks/branching.py [--rounds 5] [--quick]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from collect import save_model
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.load import load
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.lm.state import State

GREEDY = Sampling(temperature=0, top_p=1.0, top_k=0)
PURE = Sampling(temperature=1, top_p=1.0, top_k=0)
PREFIX, COPIES, NEW = 60, 96, 16
BASELINE, INTERVAL, AHEAD = 512, 32, 64
SHARPER = 8


def keys(rows: int) -> list[StreamKey]:
    return [StreamKey(0, "benchmark", row) for row in range(rows)]


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Branching:
    """One baseline, ready to be branched in three ways; each returns the branches' tokens."""

    def __init__(self, lm: LanguageModel, tokens: int) -> None:
        self.decoder = Decoder(lm)
        prompt = np.random.default_rng(0).integers(0, 50000, PREFIX).tolist()
        self.state: State = self.decoder.prefill([prompt], keep_past=True)
        self.decoder.sample(self.state, tokens, GREEDY, keys(1))
        self.lengths = [PREFIX + position - 1 for position in range(INTERVAL, tokens + 1, INTERVAL)]

    def shared(self) -> torch.Tensor:
        return self._ahead(self.decoder.branch(self.state, self.lengths, [0] * len(self.lengths)))

    def one_by_one(self) -> torch.Tensor:
        return torch.cat([self._ahead(self.decoder.prefill([self.state.ids[0][:n]])) for n in self.lengths])

    def padded(self) -> torch.Tensor:
        return self._ahead(self.decoder.prefill([self.state.ids[0][:n] for n in self.lengths]))

    def _ahead(self, state: State) -> torch.Tensor:
        second = state.logits.topk(2).indices[:, 1].tolist()
        out = self.decoder.sample(
            state, AHEAD, GREEDY, keys(len(state)), feed_last=False, forced=[[token] for token in second]
        )
        return out.token_ids


class Sampled:
    """Continuations of one prefix, ours and Hugging Face's."""

    def __init__(self, lm: LanguageModel) -> None:
        self.lm = lm
        self.prompt = np.random.default_rng(1).integers(0, 50000, PREFIX).tolist()

    def ours(self) -> torch.Tensor:
        decoder = Decoder(self.lm)
        state = decoder.prefill([self.prompt]).fork(COPIES)
        return decoder.sample(state, NEW, PURE, keys(COPIES), feed_last=False).token_ids

    @torch.inference_mode()
    def theirs(self) -> torch.Tensor:
        ids = torch.tensor([self.prompt] * COPIES)
        settings = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "pad_token_id": 0}
        settings |= {"max_new_tokens": NEW, "min_new_tokens": NEW}
        return self.lm.model.generate(ids, attention_mask=torch.ones_like(ids), **settings)[:, PREFIX:]


def compare(name: str, ours: Callable[[], object], others: dict[str, Callable[[], object]], rounds: int) -> None:
    """Prints each other way's time over ours, interleaved, the first round only to warm up."""
    ratios: dict[str, list[float]] = {other: [] for other in others}
    times: list[float] = []
    for number in range(rounds + 1):
        for other, work in others.items():
            before, theirs, after = seconds(ours), seconds(work), seconds(ours)
            if number:
                times += [before, after]
                ratios[other].append(2 * theirs / (before + after))
    print(f"{name}: {np.median(times):.2f} s", flush=True)
    for other, ratio in ratios.items():
        print(f"  {other:<44} {np.median(ratio):5.2f} times that [{min(ratio):.2f}, {max(ratio):.2f}]", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round, a baseline of 128 tokens")
    args = parser.parse_args(argv)
    rounds = 1 if args.quick else args.rounds
    with tempfile.TemporaryDirectory() as folder:
        lm = load(ModelSpec(str(save_model(Path(folder))), None, None, "float32", "auto"), torch.device("cpu"))
    # Random weights give flat distributions, whose many near ties no trained model has.
    lm.model.transformer.ln_f.weight.data.mul_(SHARPER)
    sampled = Sampled(lm)
    compare(
        f"{COPIES} continuations of {NEW} tokens from {PREFIX}, forked",
        sampled.ours,
        {"transformers generate on copies of the prefix": sampled.theirs},
        rounds,
    )
    branching = Branching(lm, 128 if args.quick else BASELINE)
    same = torch.equal(branching.shared(), branching.one_by_one())
    print(f"branches of the shared cache equal those of prefixes read anew: {same}", flush=True)
    compare(
        f"{len(branching.lengths)} branches of {AHEAD} tokens, shared cache",
        branching.shared,
        {"prefixes read anew, one by one": branching.one_by_one, "read anew, one padded batch": branching.padded},
        rounds,
    )


if __name__ == "__main__":
    main()
