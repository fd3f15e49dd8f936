"""Build the embedded model from nothing but this package and the Python installation.

    python -m lit_experiments.embedded.train                    # two CPU cores, under an hour
    python -m lit_experiments.embedded.train --ckpt_path last   # go on after an interruption

Owns: the order of the steps (text, tokenizer, training, files, report) and the command line.
Writes a Hugging Face folder: config.json, model.safetensors (float16), tokenizer.json, tokenizer_config.json,
generation_config.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from lit_experiments.embedded import adapter, report, text
from lit_experiments.embedded.mixture import Arithmetic, Documentation, Mixture, Quiz
from lit_experiments.embedded.module import EmbeddedLM, MixtureData, new_model
from lit_experiments.embedded.questions import load_questions, split
from lit_experiments.embedded.recipe import SHIPPED, EmbeddedError, Recipe, load_recipe
from lit_experiments.embedded.tokenizer import train as train_tokenizer

MODEL_FOLDER = Path(__file__).parent / "model"
ADAPTER_FOLDER = Path(__file__).parent / "adapter"
FLOAT16_MAX = 65504.0


@dataclass(frozen=True)
class Corpus:
    """Documentation in pieces: what is trained on, what is measured on."""

    training: list[str]
    held_out: list[str]


def documentation(recipe: Recipe) -> Corpus:
    """The running Python's documentation."""
    training, held_out = text.split(text.documents())
    return Corpus(
        [piece for document in training for piece in text.pieces(document, recipe.piece_chars)],
        [piece for document in held_out for piece in text.pieces(document, recipe.piece_chars)],
    )


def build_mixture(recipe: Recipe, training_pieces: Sequence[str]) -> Mixture:
    """What the model is trained on."""
    taught, _ = split(load_questions())
    components = (
        Documentation(tuple(training_pieces)),
        Arithmetic(recipe.arithmetic_per_epoch, recipe.seed),
        Quiz(tuple(taught), recipe.question_repeats),
    )
    return Mixture(components, recipe.seed)


def fit(recipe: Recipe, module: EmbeddedLM, data: MixtureData, run: Path, ckpt_path: str | None) -> None:
    """Train, with one checkpoint per epoch in `run`/checkpoints."""
    start = run / "checkpoints" / "last.ckpt" if ckpt_path == "last" else ckpt_path and Path(ckpt_path)
    if start and not start.is_file():
        raise EmbeddedError(f"--ckpt_path {ckpt_path}: no checkpoint at {start}; leave the flag out to start anew")
    checkpoint = ModelCheckpoint(run / "checkpoints", filename="{epoch}", save_last=True, enable_version_counter=False)
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=recipe.training.epochs,
        reload_dataloaders_every_n_epochs=1,
        callbacks=[checkpoint],
        logger=L.pytorch.loggers.CSVLogger(run, name="log", version=""),
        log_every_n_steps=10,
        default_root_dir=run,
    )
    trainer.fit(module, datamodule=data, ckpt_path=start or None)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the Hugging Face folder, weights as float16; a weight that float16 can't hold is an error."""
    largest = max(float(p.detach().abs().max()) for p in model.parameters())
    if not largest <= FLOAT16_MAX:
        raise RuntimeError(f"a weight of magnitude {largest} doesn't fit float16; nothing was written to {out}")
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.float16).save_pretrained(out)
    tokenizer.save_pretrained(out)


def build(recipe: Recipe, corpus: Corpus, run: Path, out: Path, ckpt_path: str | None) -> None:
    """All steps from the corpus to the base model's folder."""
    L.seed_everything(recipe.seed)
    torch.set_num_threads(recipe.training.threads)
    mixture = build_mixture(recipe, corpus.training)
    tokenizer = train_tokenizer(mixture.texts(0), recipe.vocab_size, recipe.window)
    data = MixtureData(mixture, corpus.held_out, tokenizer, recipe.window, recipe.training.rows_per_step)
    total_steps = data.total_steps(recipe.training.epochs)
    module = EmbeddedLM(new_model(recipe, tokenizer), recipe.training, total_steps, recipe.seed)
    fit(recipe, module, data, run, ckpt_path)
    save(module.model, tokenizer, out)


def build_adapter(recipe: Recipe, folder: Path, out: Path) -> None:
    """The adapter for the model in `folder`."""
    torch.set_num_threads(recipe.training.threads)
    adapter.build(folder, split(load_questions())[0], recipe.question_repeats, recipe.adapter, recipe.seed, out)


def show(recipe: Recipe, corpus: Corpus, folder: Path, adapter_folder: Path) -> str:
    """Measure the model in `folder` and its adapter and write the report as Markdown."""
    measured = report.measure(folder, adapter_folder, corpus.training, corpus.held_out, recipe.report)
    return f"{report.header(folder, adapter_folder)}\n\n{report.table(measured)}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Train the embedded model.")
    parser.add_argument("--recipe", type=Path, default=SHIPPED, help="a YAML with every setting")
    parser.add_argument("--run", type=Path, default=Path("runs/embedded-train"), help="checkpoints and the log")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="where the model folder is written")
    parser.add_argument("--adapter_out", type=Path, default=ADAPTER_FOLDER, help="where the adapter folder is written")
    parser.add_argument("--ckpt_path", default=None, help="'last' or a checkpoint file: go on from there")
    options = parser.parse_args(arguments)
    try:
        recipe = load_recipe(options.recipe)
        corpus = documentation(recipe)
        build(recipe, corpus, options.run, options.out, options.ckpt_path)
        build_adapter(recipe, options.out, options.adapter_out)
        sys.stdout.write(show(recipe, corpus, options.out, options.adapter_out))
    except EmbeddedError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
