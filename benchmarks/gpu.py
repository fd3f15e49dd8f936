"""What collecting and decoding cost on a GPU, and whether the states are those of the CPU.

A Llama of 8B's shape with random weights in bf16, texts of 32-128 tokens in batches of 16, the states of every layer
and token. In one run, interleaved, medians of ratios:
  (a) the bare forward pass of the body;
  (b) `capture`, whose copies to pinned memory run on a stream of their own while the next batch is read;
  (c) the same where each copy is waited for, and with copies to ordinary memory;
  (d) whole collections into Zarr and HDF5, from Trainer start to the last commit;
  (e) 96 sampled continuations from a prefix that is read once, against `generate` on copies of the prefix.
Then the most device memory of (a), (b) and (e), and captured states against those of the CPU: four layers of the same
shape in float32. Exit code 1 if these differ by more than rounding.

    python -m benchmarks.gpu [--rounds 5] [--layers 32]
    python -m benchmarks.gpu --quick --device cpu         the program itself, on a small shape, without a GPU
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from benchmarks.collect import BATCH, ResidualStream, collection, padded, sequences
from lit_experiments.lm.capture import Captured, capture, exact_states
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.lm.untrained import write_untrained

COPIES, PREFIX, NEW = 96, 512, 64
CLOSE = 1e-4
"""Of a vector's length: how far float32 states of two devices may lie apart."""
_VOCABULARY = 50_000


@dataclass(frozen=True)
class Shape:
    """Of a Llama."""

    layers: int
    hidden: int
    inner: int
    heads: int
    key_heads: int

    @property
    def sites(self) -> list[str]:
        """The residual stream before the first block and after each."""
        return ["resid_pre.0", *(f"resid_post.{layer}" for layer in range(self.layers))]

    def write(self, folder: Path, dtype: str) -> ModelSpec:
        """Random weights, drawn block by block on the CPU, and a tokenizer that nobody uses."""
        folder.mkdir()
        config = LlamaConfig(
            vocab_size=_VOCABULARY,
            hidden_size=self.hidden,
            intermediate_size=self.inner,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_heads,
            max_position_embeddings=4096,
            pad_token_id=0,
        )
        write_untrained(AutoModelForCausalLM, config, getattr(torch, dtype), "model.layers", 0, folder)
        tokenizer = Tokenizer(WordLevel({"a": 0}, unk_token="a"))
        PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
        return ModelSpec(str(folder), None, None, dtype, "auto")


LLAMA_8B = Shape(32, 4096, 14336, 32, 8)
SMALL = Shape(4, 256, 512, 4, 2)


@dataclass(frozen=True)
class Clock:
    """Seconds of work that a device may still be at when the call returns."""

    device: torch.device

    def __call__(self, work: Callable[[], object]) -> float:
        self._wait()
        started = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - started

    def most_memory(self, work: Callable[[], object]) -> float:
        """GB of the device that were in use at once; NaN without a GPU."""
        if self.device.type != "cuda":
            return float("nan")
        torch.cuda.reset_peak_memory_stats(self.device)
        self(work)
        return torch.cuda.max_memory_allocated(self.device) / 1e9

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Reading:
    """Ways to read the same texts."""

    def __init__(self, lm: LanguageModel, texts: list[list[int]], sites: list[str]) -> None:
        ordered = sorted(texts, key=len, reverse=True)
        self.lm, self.sites = lm, sites
        self.batches = [ordered[first : first + BATCH] for first in range(0, len(ordered), BATCH)]

    @torch.inference_mode()
    def bare(self) -> None:
        """The body alone."""
        for batch in self.batches:
            ids, mask = padded(batch, self.lm.device)
            self.lm.model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)

    def in_background(self) -> None:
        """As collections do: a batch's states are asked for when the next one is being read."""
        last: Captured | None = None
        for captured in self._captured():
            if last is not None:
                last.values  # noqa: B018 - waits for the copy
            last = captured
        assert last is not None
        last.values  # noqa: B018

    def waiting(self) -> None:
        """Each batch's copy is waited for before the next one is read."""
        for captured in self._captured():
            captured.values  # noqa: B018

    def to_ordinary_memory(self) -> None:
        """Cast on the device, then copied as `.cpu()` does."""
        for batch in self.batches:
            for state in exact_states(self.lm, batch, self.sites).values():
                state.half().cpu()

    def _captured(self) -> Iterator[Captured]:
        for batch in self.batches:
            yield capture(self.lm, batch, self.sites)


class Sampled:
    """Continuations of one prefix, ours and Transformers'."""

    def __init__(self, lm: LanguageModel, copies: int, prefix: int) -> None:
        self.lm, self.copies = lm, copies
        self.prompt = np.random.default_rng(1).integers(0, _VOCABULARY, prefix).tolist()

    def ours(self) -> None:
        """Read once, forked."""
        decoder = Decoder(self.lm)
        keys = [StreamKey(0, "benchmark", row) for row in range(self.copies)]
        decoder.sample(
            decoder.prefill([self.prompt]).fork(self.copies), NEW, Sampling(1, 1.0, 0), keys, feed_last=False
        )

    @torch.inference_mode()
    def theirs(self) -> None:
        """`generate` on copies."""
        ids = torch.tensor([self.prompt] * self.copies, device=self.lm.device)
        settings = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "pad_token_id": 0}
        settings |= {"max_new_tokens": NEW, "min_new_tokens": NEW}
        self.lm.model.generate(ids, attention_mask=torch.ones_like(ids), **settings)


def compare(clock: Clock, base: Callable[[], object], others: dict[str, Callable[[], object]], rounds: int) -> float:
    """Prints each other way's time over the base's, interleaved, the first round only to warm up; returns the median
    seconds of the base."""
    ratios: dict[str, list[float]] = {name: [] for name in others}
    seconds: list[float] = []
    for number in range(rounds + 1):
        for name, work in others.items():
            before, taken, after = clock(base), clock(work), clock(base)
            if number:
                seconds += [before, after]
                ratios[name].append(2 * taken / (before + after))
    for name, ratio in ratios.items():
        print(f"  {name:<44} {np.median(ratio):6.3f} times that [{min(ratio):.3f}, {max(ratio):.3f}]", flush=True)
    return float(np.median(seconds))


def measure(shape: Shape, device: torch.device, dtype: str, folder: Path, options: argparse.Namespace) -> None:
    """Everything that is timed."""
    texts = sequences(options.texts)
    collector = ResidualStream(shape.write(folder / "model", dtype), texts, shape.sites)
    collector.load_model(device)
    clock, reading = Clock(device), Reading(collector.lm, texts, shape.sites)

    def collected(backend: str) -> None:
        collection(collector, folder / "run", backend, "gpu" if device.type == "cuda" else "cpu")
        shutil.rmtree(folder / "run")

    tokens = sum(map(len, texts))
    print(f"{dtype}, {shape.layers} layers of {shape.hidden}, {tokens:,} tokens: over the bare pass", flush=True)
    ways: dict[str, Callable[[], object]] = {
        "captured, copies in the background": reading.in_background,
        "captured, each copy waited for": reading.waiting,
        "captured, copies to ordinary memory": reading.to_ordinary_memory,
        "collected into zarr": lambda: collected("zarr"),
        "collected into hdf5": lambda: collected("hdf5"),
    }
    seconds = compare(clock, reading.bare, ways, options.rounds)
    size = tokens * len(shape.sites) * shape.hidden * 2
    print(
        f"  bare pass: {seconds:.3f} s, {tokens / seconds:,.0f} tokens a second; {size / 1e9:.2f} GB of float16 states"
    )
    sampled = Sampled(collector.lm, options.copies, options.prefix)
    print(f"{options.copies} continuations of {NEW} tokens from {options.prefix}: over ours", flush=True)
    seconds = compare(clock, sampled.ours, {"generate on copies": sampled.theirs}, options.rounds)
    print(f"  ours: {seconds:.3f} s, {options.copies * NEW / seconds:,.0f} tokens a second", flush=True)
    if device.type == "cuda":
        works = {"bare pass": reading.bare, "captured": reading.in_background, "continuations": sampled.ours}
        most = [f"{name} {clock.most_memory(work):.2f} GB" for name, work in works.items()]
        print(f"most device memory: {', '.join(most)}", flush=True)


def agreement(shape: Shape, device: torch.device, folder: Path) -> float:
    """Largest distance of a state on `device` from the CPU's, of its length; float32, four layers."""
    few = Shape(min(shape.layers, 4), shape.hidden, shape.inner, shape.heads, shape.key_heads)
    spec, texts = few.write(folder / "few", "float32"), sequences(4)
    states = []
    for where in (torch.device("cpu"), device):
        collector = ResidualStream(spec, texts, few.sites)
        collector.load_model(where)
        states.append({name: state.cpu() for name, state in exact_states(collector.lm, texts, few.sites).items()})
        collector.drop_model()
    apart = [(states[1][name] - state).norm(dim=-1) / state.norm(dim=-1) for name, state in states[0].items()]
    return max(float(distance.max()) for distance in apart)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=256, help="texts that are read")
    parser.add_argument("--copies", type=int, default=COPIES, help="continuations")
    parser.add_argument("--prefix", type=int, default=PREFIX, help="tokens before a continuation")
    parser.add_argument("--layers", type=int, default=LLAMA_8B.layers, help="fewer need less memory and disk")
    parser.add_argument("--quick", action="store_true", help="a small shape, one round, few texts")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("error: PyTorch sees no GPU here.\nNext: python -m benchmarks.gpu --quick --device cpu")
    shape = Shape(options.layers, LLAMA_8B.hidden, LLAMA_8B.inner, LLAMA_8B.heads, LLAMA_8B.key_heads)
    if options.quick:
        shape, options.rounds, options.texts, options.copies, options.prefix = SMALL, 1, 32, 8, 64
    with tempfile.TemporaryDirectory() as name:
        apart = agreement(shape, device, Path(name))
        print(f"states against the CPU's, float32: at most {apart:.1e} of their length apart", flush=True)
        measure(shape, device, "float32" if device.type == "cpu" else "bfloat16", Path(name), options)
    if apart > CLOSE:
        sys.exit(f"error: states differ by {apart:.1e} of their length; rounding explains {CLOSE:.0e}.")


if __name__ == "__main__":
    main()
