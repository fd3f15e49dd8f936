"""Measurements on a model folder: cross-entropy of texts, and solving arithmetic by sampling.

Owns: loading the folder as it ships, teacher-forced log-probabilities, sampled solutions and their verdicts.
Does not know: which texts and how many (see report), or the package's general decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from lit_experiments.embedded.arithmetic import Problem, boxed_answer, method_of
from lit_experiments.embedded.recipe import EmbeddedError

SOLUTION_TOKENS = 170  # the longest solution has about 130


@dataclass(frozen=True)
class Attempt:
    """One sampled solution."""

    problem: Problem
    text: str
    solved: bool
    method: str | None


def load_folder(folder: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Model in evaluation mode and tokenizer, without asking the network."""
    if not (folder / "config.json").is_file():
        raise EmbeddedError(f"{folder}: no model there; build it with `python -m lit_experiments.embedded.train`")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


@torch.no_grad()
def log_probs(model: PreTrainedModel, documents: Sequence[Sequence[int]], batch: int) -> list[np.ndarray]:
    """Log-probability in nats of each id after the first, per document; float64 [len - 1] each, in the given order."""
    by_document: list[np.ndarray] = [np.empty(0)] * len(documents)
    by_length = sorted(range(len(documents)), key=lambda i: len(documents[i]))
    for start in range(0, len(by_length), batch):
        rows = by_length[start : start + batch]
        # Right padding under a causal mask: what follows a document can't reach its tokens.
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(documents[i]) for i in rows], batch_first=True)
        logits = model(input_ids=ids, use_cache=False).logits.float()
        chosen = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
        for row, i in enumerate(rows):
            by_document[i] = chosen[row, : len(documents[i]) - 1].double().numpy()
    return by_document


@torch.no_grad()
def solve(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    problems: Sequence[Problem],
    temperature: float,
    seed: int,
    batch: int,
) -> list[Attempt]:
    """One solution per problem: greedy at temperature 0, else pure sampling (no top-k or top-p) at `temperature`."""
    how = (
        {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        if temperature
        else {"do_sample": False}
    )
    attempts = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for start in range(0, len(problems), batch):
            group = problems[start : start + batch]
            inputs = tokenizer([p.prompt for p in group], return_tensors="pt", padding=True, padding_side="left")
            ids = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=SOLUTION_TOKENS,
                **how,
            )
            texts = tokenizer.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            attempts += [judge(problem, text) for problem, text in zip(group, texts, strict=True)]
    return attempts


def letter_ids(tokenizer: PreTrainedTokenizerFast, letter: str) -> list[int]:
    """Ids of a letter as a token of its own: after a space, and without one."""
    return [tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)[-1]) for text in (f": {letter}", letter)]


@torch.no_grad()
def letter_probs(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str], letters: Sequence[str]
) -> np.ndarray:
    """Probability of each letter (both spellings summed) as the next token; float64 [prompt, letter]."""
    spellings = torch.tensor([letter_ids(tokenizer, letter) for letter in letters])
    rows = []
    for text in prompts:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        probs = model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[0, -1].double().softmax(-1)
        rows.append(probs[spellings].sum(-1).numpy())
    return np.stack(rows)


def judge(problem: Problem, text: str) -> Attempt:
    """Compare the boxed answer with the right one and name the method."""
    return Attempt(problem, text, boxed_answer(text) == problem.answer, method_of(text))
