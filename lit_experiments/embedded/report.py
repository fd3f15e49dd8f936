"""The report on a model folder: every target of the embedded model, measured, as a dictionary and as a table.

Owns: which measurements are made, on what, with how many samples.
Does not know: how they are made (see evaluate, trigram).
"""

from __future__ import annotations

import itertools
import platform
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lit_experiments.embedded import arithmetic, evaluate, quiz, text
from lit_experiments.embedded.questions import HELD_OUT, load_questions
from lit_experiments.embedded.recipe import Sizes
from lit_experiments.embedded.tokenizer import encode_documents
from lit_experiments.embedded.trigram import Trigram

FIRST_LINE = "A demonstration subject, never a scientific result."


Measured = dict[str, dict[str, float]]  # name -> value, low, high (95 %), n


def _plain(value: float, n: int) -> dict[str, float]:
    """A value without an interval."""
    return {"value": value, "low": float("nan"), "high": float("nan"), "n": n}


def _mean(values: Sequence[np.ndarray], sizes: Sizes) -> dict[str, float]:
    """Mean over all entries of ragged values, with a 95 % bootstrap interval over documents."""
    sums, counts = np.array([v.sum() for v in values]), np.array([len(v) for v in values])
    rows = np.random.default_rng(sizes.seed).integers(len(values), size=(sizes.resamples, len(values)))
    low, high = np.percentile(sums[rows].sum(1) / counts[rows].sum(1), [2.5, 97.5])
    return {"value": float(sums.sum() / counts.sum()), "low": float(low), "high": float(high), "n": len(values)}


def _share(hits: Iterable[bool]) -> dict[str, float]:
    """Share of true values with its 95 % Wilson interval."""
    values = list(hits)
    n, p, z = len(values), float(np.mean(values)), 1.959964
    centre = (p + z**2 / 2 / n) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / 4 / n**2) / (1 + z**2 / n)
    return {"value": p, "low": float(centre - half), "high": float(centre + half), "n": n}


def _cross_entropy(model: Any, tokenizer: Any, training: list[str], held_out: list[str], sizes: Sizes) -> Measured:
    """Held-out cross-entropy of the model and of the trigram on the same tokens."""
    window = model.config.max_position_embeddings
    documents = [ids[:window] for ids in encode_documents(tokenizer, held_out)]
    surprise = [-values for values in evaluate.log_probs(model, documents, sizes.batch)]
    trigram = Trigram(encode_documents(tokenizer, training), len(tokenizer))
    expected = [-trigram.log_probs(ids) for ids in documents]
    nats = sum(float(values.sum()) for values in surprise)
    bytes_read = sum(len(tokenizer.decode(ids, skip_special_tokens=True).encode()) for ids in documents)
    return {
        "held-out CE, nats/token": _mean(surprise, sizes),
        "Kneser-Ney trigram CE, nats/token": _mean(expected, sizes),
        "difference, nats/token": _mean([a - b for a, b in zip(surprise, expected, strict=True)], sizes),
        "held-out CE, nats/byte": _plain(nats / bytes_read, len(documents)),
    }


def _shuffled(model: Any, tokenizer: Any, held_out: list[str], sizes: Sizes) -> Measured:
    """Cross-entropy of held-out paragraphs, and of the same tokens in random order."""
    paragraphs = [paragraph for piece in held_out for paragraph in piece.split("\n\n")]
    window = model.config.max_position_embeddings
    encoded = encode_documents(tokenizer, paragraphs)
    documents = [ids[:window] for ids in encoded if len(ids) >= sizes.shuffled_min_tokens]
    rng = random.Random(sizes.seed)
    mixed = [[ids[0], *rng.sample(ids[1:-1], len(ids) - 2), ids[-1]] for ids in documents]
    plain, disturbed = (evaluate.log_probs(model, ordering, sizes.batch) for ordering in (documents, mixed))
    return {
        "paragraph CE, nats/token": _mean([-v for v in plain], sizes),
        "shuffled paragraph CE, nats/token": _mean([-v for v in disturbed], sizes),
    }


def _arithmetic(model: Any, tokenizer: Any, sizes: Sizes) -> Measured:
    """Pass rate and share of methods on held-out problems."""
    problems = list(itertools.islice(arithmetic.problems("report", held_out=True), sizes.problems))
    attempts = evaluate.solve(model, tokenizer, problems, sizes.temperature, sizes.seed, sizes.batch)
    greedy = evaluate.solve(model, tokenizer, problems, 0.0, sizes.seed, sizes.batch)
    at = f"at T = {sizes.temperature}"
    measured = {f"arithmetic solved {at}": _share(a.solved for a in attempts)}
    measured["arithmetic solved, greedy"] = _share(a.solved for a in greedy)
    for kind in arithmetic.KINDS:
        measured[f"  {kind} solved {at}"] = _share(a.solved for a in attempts if a.problem.kind == kind)
    for method in arithmetic.METHODS:
        used = [a for a in attempts if a.method == method]
        measured[f"  method {method} {at}"] = _share(a.method == method for a in attempts)
        if used:
            measured[f"  method {method} solved {at}"] = _share(a.solved for a in used)
    return measured


def _half_precision(folder: Path, model: Any, tokenizer: Any, held_out: list[str], sizes: Sizes) -> Measured:
    """Largest magnitude in the residual stream, and how far bfloat16 moves the cross-entropy."""
    documents = [ids[:256] for ids in encode_documents(tokenizer, held_out[: sizes.batch])]
    with torch.no_grad():
        states = model(input_ids=torch.tensor([documents[0]]), output_hidden_states=True).hidden_states
    coarse, _ = evaluate.load_folder(folder, torch.bfloat16)
    a, b = (evaluate.log_probs(variant, documents, sizes.batch) for variant in (model, coarse))
    largest = float(max(state.abs().max() for state in states))
    return {
        "largest magnitude in the residual stream": _plain(largest, 1),
        "bfloat16 minus float32 CE, nats/token": _mean([x - y for x, y in zip(a, b, strict=True)], sizes),
    }


def _questions(model: Any, tokenizer: Any, folder: Path, adapter: Path) -> Measured:
    """Accuracy by what training showed, how far confidence varies, and calibration without and with the adapter."""
    questions = load_questions()
    base = quiz.answers(model, tokenizer, questions)
    tuned = quiz.answers(quiz.with_adapter(folder, adapter), tokenizer, questions)
    everything = np.ones(len(questions), bool)
    held_out = np.array([question.half == HELD_OUT for question in questions])
    measured = {"questions answered right": _share(base.correct)}
    for half, rows in (("training", ~held_out), ("held-out", held_out)):
        measured[f"  of the {half} half"] = _share(base.correct[rows])
    measured["  with the adapter"] = _share(tuned.correct)
    measured["probability outside the letters, mean"] = _plain(float(base.outside.mean()), len(questions))
    low, high = np.percentile(base.margin, [10, 90])
    measured["margin of the answer, 10th percentile"] = _plain(float(low), len(questions))
    measured["margin of the answer, 90th percentile"] = _plain(float(high), len(questions))
    for name, results in (("base", base), ("adapter", tuned)):
        measured[f"claimed confidence, {name}, mean"] = _plain(float(results.confidence.mean()), len(questions))
        measured[f"  standard deviation, {name}"] = _plain(float(results.confidence.std(ddof=1)), len(questions))
        for half, rows in (("all questions", everything), ("held-out half", held_out)):
            ece, ranked = quiz.calibration(results, rows)
            measured[f"  ECE, {name}, {half}"] = _plain(ece, int(rows.sum()))
            measured[f"  AUROC, {name}, {half}"] = _plain(ranked, int(rows.sum()))
    return measured


def measure(folder: Path, adapter: Path, training: list[str], held_out: list[str], sizes: Sizes) -> Measured:
    """All measurements of the model in `folder` and of its adapter, on these pieces of documentation."""
    model, tokenizer = evaluate.load_folder(folder, torch.float32)
    return {
        **_cross_entropy(model, tokenizer, training, held_out, sizes),
        **_shuffled(model, tokenizer, held_out, sizes),
        **_arithmetic(model, tokenizer, sizes),
        **_questions(model, tokenizer, folder, adapter),
        **_half_precision(folder, model, tokenizer, held_out, sizes),
    }


def header(folder: Path, adapter: Path) -> str:
    """What was measured, and on which documentation."""
    sizes = [sum(path.stat().st_size for path in directory.iterdir()) for directory in (folder, adapter)]
    source = text.source_hash(text.documents())[:16]
    return (
        f"{FIRST_LINE}\nmodel {folder} ({sizes[0] / 1e6:.2f} MB), adapter {adapter} ({sizes[1] / 1e3:.0f} kB), "
        f"documentation of Python {platform.python_version()} (sha256 {source}...)"
    )


def table(measured: Measured) -> str:
    """A Markdown table of the measurements."""
    lines = ["| measured | value | 95 % interval | n |", "|---|---:|---:|---:|"]
    for name, estimate in measured.items():
        interval = f"{estimate['low']:.3f} to {estimate['high']:.3f}" if estimate["low"] == estimate["low"] else ""
        lines.append(f"| {name.strip()} | {estimate['value']:.3f} | {interval} | {estimate['n']} |")
    return "\n".join(lines)
