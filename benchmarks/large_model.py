"""A model larger than the memory it may use: the same numbers from the disk as from memory.

    python -m benchmarks.large_model [--gigabytes 8] [--limit 4GB] [--dir DIR]

Writes GPT-2-shaped random weights in float32, block by block; then two processes collect states, decode and attribute,
one with the model in memory and one with `device_map` under the limit, and print their peak memory, time and largest
difference. Peak: resident memory, mapped files included.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config

from lit_experiments.lm.attribution import attribute
from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.load import load
from lit_experiments.lm.locate import EMBEDDED, locate_model
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.score import next_token_logits
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.lm.untrained import write_untrained

_WIDTH = 2560


def make(folder: Path, gigabytes: float) -> None:
    """A GPT-2 of that size, with the embedded model's tokenizer."""
    located = locate_model(EMBEDDED, None, with_weights=False)
    tokenizer = AutoTokenizer.from_pretrained(located.folder)
    layers = max(2, round(gigabytes * 1e9 / 4 / (12 * _WIDTH**2)))
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=_WIDTH, n_layer=layers, n_head=20, n_positions=256)
    write_untrained(AutoModelForCausalLM, config, torch.float32, "transformer.h", 0, folder)
    tokenizer.save_pretrained(folder)


def compute(folder: Path, device_map: str | None, out: Path) -> None:
    """Everything a study asks of a model, its time and peak memory."""
    began = time.perf_counter()
    lm = load(ModelSpec(str(folder), None, None, "float32", "auto", device_map=device_map), "cpu")
    texts = [list(range(5, 5 + length)) for length in (24, 40)]
    states = exact_states(lm, texts, [f"resid_post.{layer}" for layer in range(0, lm.info.n_layers, 4)])
    decoder, keys = Decoder(lm), [StreamKey(0, "text", draw) for draw in range(4)]
    tokens = decoder.sample(decoder.prefill(texts).fork(2), 4, Sampling(1.0, 1.0, 0), keys).token_ids
    parts = attribute(lm, texts, [(3, 4), (5, 6)])
    values = [*states.values(), next_token_logits(lm, texts), tokens, parts.frozen.layers, parts.difference]
    torch.save(values, out)
    placed = getattr(lm.model, "hf_device_map", {})
    print(json.dumps({"seconds": time.perf_counter() - began, "peak": _peak(), "disk": _on_disk(placed)}))


def _on_disk(placed: dict[str, Any]) -> int:
    return sum(place == "disk" for place in placed.values())


def _peak() -> int:
    """The most resident memory of this process so far, in bytes, mapped files included."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=8)
    parser.add_argument("--limit", default="4GB")
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument("--compute", nargs=2, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compute is not None:
        device_map, out = options.compute
        compute(options.dir, device_map or None, Path(out))
        return
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        folder = Path(name) / "model"
        folder.mkdir()
        make(folder, options.gigabytes)
        size = sum(path.stat().st_size for path in folder.iterdir())
        places = Path(name) / "places.yaml"
        # What the map does not count: the part that is computed with, the program itself, activations.
        places.write_text(yaml.safe_dump({"max_memory": {"cpu": f"{float(options.limit.removesuffix('GB')) - 1.5}GB"}}))
        print(f"weights {size / 1e9:.1f} GB in float32, limit {options.limit}")
        for label, device_map in (("memory", ""), ("disk", str(places))):
            command = [sys.executable, "-m", "benchmarks.large_model", "--dir", str(folder)]
            arguments = ["--compute", device_map, f"{name}/{label}.pt"]
            line = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True).stdout
            result = json.loads(line.splitlines()[-1])
            peak, seconds, disk = result["peak"] / 1e9, result["seconds"], result["disk"]
            print(f"{label:7} peak {peak:5.2f} GB  {seconds:6.1f} s  parts on the disk: {disk}")
        pairs = zip(torch.load(f"{name}/memory.pt"), torch.load(f"{name}/disk.pt"), strict=True)
        worst = max(
            float((one.double() - other.double()).abs().max() / one.double().abs().max()) for one, other in pairs
        )
        print(f"largest difference, relative to the largest value: {worst:.1e}")


if __name__ == "__main__":
    main()
