"""What collecting costs over the bare forward pass.

Random-weight GPT-2 124M in bf16 (float32 where the processor has no bf16 arithmetic), 256 length-sorted sequences of
32-128 tokens, batches of 16. In one run, interleaved:
  (a) the forward pass of the body, without the LM head;
  (b) our collection of all 13 residual sites at all positions as float16, from Trainer start to the last commit, into
      a Zarr and into an HDF5 store, the same batches;
  (c) the quickest script a user would write instead: hooks, cast, one safetensors file per batch.
Printed: medians, the ratios (b)/(a), bytes on disk over the unpadded float16 payload (for a float32 run too), and the
peak memory at 256 and at 1,024 sequences.

    python benchmarks/collect.py [--rounds 5] [--quick]
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.plan import Sample
from lit_experiments.collecting.run import RunSettings, collect
from lit_experiments.lm.capture import capture
from lit_experiments.lm.spec import ModelSpec
from stores import Column, Field, Records, Schema

SITES = ["resid_pre.0", *(f"resid_post.{i}" for i in range(12))]
BATCH = 16


class ResidualStream(Collector):
    """All residual sites at all positions of given token sequences."""

    version: ClassVar[int] = 1

    def __init__(self, spec: ModelSpec, sequences: list[list[int]], sites: list[str] = SITES) -> None:
        super().__init__(spec)
        self.sequences, self.sites = sequences, sites

    def samples(self) -> Sequence[Sample]:
        return [Sample(f"s{i:06d}", i, len(s), s, {"token": len(s)}) for i, s in enumerate(self.sequences)]

    def settings(self) -> dict[str, Any]:
        return {"sites": self.sites}

    def schema(self) -> Schema:
        shape = (len(self.sites), None, self.info.d_model)
        resid = Field("resid", ("layer", "token", "hidden"), shape, "float16", "", "residual stream")
        return Schema((resid,), (Column("input_ids", "list<int64>", "tokens"),), {"layer": self.sites})

    def collect(self, batch: Sequence[Sample]) -> Records:
        captured = capture(self.lm, [s.payload for s in batch], self.sites)
        rows = [{"sample_id": s.sample_id, "sample_index": s.index, "input_ids": s.payload} for s in batch]
        arrays, exponents = {"resid": captured.values.numpy()}, {"resid": captured.exponents.numpy()}
        return Records(rows, arrays, {"token": captured.lengths.numpy()}, exponents)


def sequences(count: int) -> list[list[int]]:
    """Token ids, lengths uniform in 32..128."""
    rng = np.random.default_rng(1234)
    lengths = rng.integers(32, 129, size=count)
    return [rng.integers(0, 50000, size=int(n)).tolist() for n in lengths]


def save_model(folder: Path) -> Path:
    """A GPT-2 124M with random weights, and a tokenizer that nobody uses."""
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({"a": 0}, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder


def padded(batch: list[list[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask of a batch, padded on the right."""
    ids = torch.zeros(len(batch), len(batch[0]), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, text in enumerate(batch):
        ids[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = 1
    return ids.to(device), mask.to(device)


class Clock:
    """Wall-clock and processor seconds since it was made; the latter do not count what other programs take."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> np.ndarray:
        return np.array([time.perf_counter() - self._wall, time.process_time() - self._cpu])


def bare_forward(collector: Collector, texts: list[list[int]]) -> np.ndarray:
    """Seconds (wall, processor) for the body alone, on the same padded batches."""
    ordered = sorted(texts, key=len, reverse=True)
    clock = Clock()
    with torch.inference_mode():
        for first in range(0, len(ordered), BATCH):
            ids, mask = padded(ordered[first : first + BATCH], collector.lm.device)
            collector.lm.model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
    return clock.read()


def hand_written(collector: Collector, texts: list[list[int]], folder: Path) -> np.ndarray:
    """Seconds of the quickest script a user would write: hooks, cast, one safetensors file per batch, no checks."""
    ordered, kept = sorted(texts, key=len, reverse=True), {}
    body = collector.lm.model.base_model
    hooks = [body.h[0].register_forward_pre_hook(lambda module, args: kept.__setitem__(0, args[0]))]
    for layer, block in enumerate(body.h, start=1):
        keep = lambda module, args, out, layer=layer: kept.__setitem__(layer, out)  # noqa: E731
        hooks.append(block.register_forward_hook(keep))
    folder.mkdir()
    clock = Clock()
    with torch.inference_mode():
        for first in range(0, len(ordered), BATCH):
            ids, mask = padded(ordered[first : first + BATCH], collector.lm.device)
            body(input_ids=ids, attention_mask=mask, use_cache=False)
            states = {str(layer): state[mask.bool()].half() for layer, state in kept.items()}
            save_file(states, folder / f"{first}.safetensors")
    taken = clock.read()
    for hook in hooks:
        hook.remove()
    return taken


def collection(collector: Collector, run: Path, backend: str, accelerator: str = "cpu") -> tuple[np.ndarray, int]:
    """Seconds (wall, processor) for a whole collection into an empty folder, and the bytes of its data."""
    settings = RunSettings(
        run=run,
        backend=backend,
        batch_tokens=10**9,
        batch_size=BATCH,
        flush_bytes=64_000_000,
        flush_seconds=30,
        limit=None,
        trainer={"devices": 1, "accelerator": accelerator},
    )
    clock = Clock()
    collect(collector, settings)
    return clock.read(), sum(p.stat().st_size for p in (run / "store" / "parts").rglob("*") if p.is_file())


def loaded(model: Path, dtype: str, count: int) -> ResidualStream:
    collector = ResidualStream(ModelSpec(str(model), None, None, dtype, "auto"), sequences(count))
    collector.load_model(torch.device("cpu"))
    return collector


def payload(texts: list[list[int]]) -> int:
    """Bytes of the unpadded float16 states."""
    return sum(map(len, texts)) * len(SITES) * 768 * 2


def multiplication(dtype: torch.dtype) -> float:
    """Seconds of a matrix product of a block's size."""
    left, right = torch.ones(512, 768, dtype=dtype), torch.ones(768, 3072, dtype=dtype)
    seconds = []
    for _ in range(5):
        clock = Clock()
        left @ right
        seconds.append(float(clock.read()[0]))
    return min(seconds)


def quick_dtype() -> str:
    """bfloat16 where it is no slower than twice float32; else float32, and that is said.

    Measured, not looked up: a processor without bf16 arithmetic emulates it, some fifty times as slow.
    """
    ratio = multiplication(torch.bfloat16) / multiplication(torch.float32)
    if ratio < 2:
        return "bfloat16"
    print(f"No bf16 arithmetic on this processor (a product takes {ratio:.0f} times float32's): measuring float32.")
    return "float32"


def compare(model: Path, folder: Path, rounds: int, count: int, dtype: str) -> None:
    collector = loaded(model, dtype, count)
    texts = collector.sequences
    bare: list[np.ndarray] = []
    ratios: dict[str, list[np.ndarray]] = {"by hand": [], "zarr": [], "hdf5": []}
    size: dict[str, int] = {}
    bare_forward(collector, texts[: 4 * BATCH])
    for number in range(rounds + 1):
        turns = list(ratios)
        for backend in turns[number % 3 :] + turns[: number % 3]:
            before = bare_forward(collector, texts)
            if backend == "by hand":
                taken, size[backend] = hand_written(collector, texts, folder / "run"), payload(texts)
            else:
                taken, size[backend] = collection(collector, folder / "run", backend)
            shutil.rmtree(folder / "run")
            after = bare_forward(collector, texts)
            if number:  # the first round warms up
                bare += [before, after]
                ratios[backend].append(taken / ((before + after) / 2))
    size_of = f"{sum(map(len, texts)):,} tokens, {payload(texts) / 1e6:.0f} MB"
    print(f"{dtype}, {count} sequences, {size_of}, {rounds} rounds")
    wall, cpu = np.median(bare, axis=0)
    print(f"bare forward pass     {wall:.2f} s, {cpu:.2f} s of processor time")
    for backend in ratios:
        wall, cpu = np.median(ratios[backend], axis=0)
        low, high = np.min(ratios[backend], axis=0), np.max(ratios[backend], axis=0)
        print(
            f"collection, {backend:<8} {wall:.3f} times that [{low[0]:.3f}, {high[0]:.3f}], processor time {cpu:.3f} "
            f"times [{low[1]:.3f}, {high[1]:.3f}]; {size[backend] / payload(texts):.3f} of the float16 payload on disk"
        )
    for backend in ("zarr", "hdf5"):
        single = loaded(model, "float32", min(count, 64))
        _, written = collection(single, folder / "run32", backend)
        shutil.rmtree(folder / "run32")
        print(f"float32 run, {backend:<5}  {written / payload(single.sequences):.3f} of the float16 payload on disk")


def peak(model: Path, count: int, dtype: str) -> None:
    """In a process of its own: one collection, and the peak memory of it."""
    with tempfile.TemporaryDirectory() as folder:
        collection(loaded(model, dtype, count), Path(folder) / "run", "zarr")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="64 sequences, one round, no memory test")
    parser.add_argument("--peak", nargs=3, metavar=("MODEL", "COUNT", "DTYPE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        peak(Path(args.peak[0]), int(args.peak[1]), args.peak[2])
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = save_model(folder / "model")
        dtype = quick_dtype()
        compare(model, folder, 1 if args.quick else args.rounds, 64 if args.quick else 256, dtype)
        for count in () if args.quick else (256, 1024):
            command = [sys.executable, __file__, "--peak", str(model), str(count), dtype]
            completed = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"peak memory at {count:>5} sequences  {int(completed.stdout.split()[-1]) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
