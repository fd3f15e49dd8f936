"""Collects three passes per question: states of the whole prompt, and the distribution over the answer letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

import stores
from lit_experiments.collecting.extending import bare_rows, sites_in
from lit_experiments.collecting.plan import Sample
from lit_experiments.experiments.introspection.export import export_npy
from lit_experiments.experiments.introspection.letters import Distribution, distribution, letter_in, margin
from lit_experiments.experiments.introspection.pass_collector import PassCollector
from lit_experiments.experiments.introspection.prompts import MIDPOINTS, letters_of
from lit_experiments.experiments.introspection.samples import PassPrompt, stored_positions
from lit_experiments.experiments.introspection.schema import make_schema
from lit_experiments.experiments.introspection.summary import compare, describe
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.sites import resolve_sites
from lit_experiments.lm.spec import ENGINES, ModelSpec
from lit_experiments.ranges import at_least, share
from stores import Records, Schema, Store


class IntrospectionCollector(PassCollector):
    """For each question and pass: one prefill, hidden states, answer letters, and what the question looks like."""

    version: ClassVar[int] = 2
    engines: ClassVar[tuple[str, ...]] = ENGINES
    growing: ClassVar[frozenset[str]] = PassCollector.growing | {"sites"}
    given: ClassVar[frozenset[str]] = frozenset(
        {"temperature", "top_p"} | {f"token_{what}_{of}" for what in ("rarity", "surprisal") for of in ("mean", "max")}
    )
    describe = staticmethod(describe)
    compare = staticmethod(compare)
    export_npy = staticmethod(export_npy)

    def __init__(
        self,
        spec: ModelSpec,
        sites: list[str] | None,
        positions: str,
        temperature: float,
        top_p: float,
        max_new_tokens: int,
        **kwargs: Any,
    ) -> None:
        """Checks the settings; reads nothing but the questions and the model's configuration and tokenizer.

        Args:
            sites: Where hidden states are read; null reads resid_post of every layer.
            positions: Which tokens' states are stored: all, answer (the last), or last_K, e.g. last_8.
            temperature: Of the output text; 0 takes the most probable token.
            top_p: Of the output text.
            max_new_tokens: Length of the output text.

        Raises:
            UserError: settings that contradict each other, see also `PassCollector.prepare`.
        """
        super().__init__(spec, **kwargs)
        self.positions = positions
        self.temperature, self.top_p, self.max_new_tokens = temperature, top_p, max_new_tokens
        self.sites = resolve_sites(
            sites or [f"resid_post.{i}" for i in range(self.info.n_layers)], self.info.layout, self.info.n_layers
        )
        stored_positions(positions, 1)
        at_least(1, max_new_tokens=max_new_tokens)
        at_least(0, temperature=temperature)
        share(top_p=top_p)
        self.prepare(positions, max_new_tokens)
        self._checkpoint = _checkpoint(self.info)

    def settings(self) -> dict[str, Any]:
        names = ("sites", "positions", "temperature", "top_p", "max_new_tokens")
        return super().settings() | {name: getattr(self, name) for name in names}

    def collect_more(self, batch: Sequence[Sample], pieces: Sequence[int], store: Store) -> list[Records]:
        """States alone, in one pass over the prompts."""
        prompts: list[PassPrompt] = [sample.payload for sample in batch]
        of_pieces = [sites_in(self.pieces[number], "resid_post") for number in pieces]
        sites = list(dict.fromkeys(site for named in of_pieces for site in named))
        captured = self.engine.capture([p.ids for p in prompts], sites, [p.positions for p in prompts])
        values, exponents = captured.values.numpy(), captured.exponents.numpy()
        rows, lengths = bare_rows(batch), {"token": captured.lengths.numpy()}
        places = [[sites.index(site) for site in named] for named in of_pieces]
        return [Records(rows, {"resid_post": values[at]}, lengths, {"resid_post": exponents[at]}) for at in places]

    def schema(self) -> Schema:
        return make_schema(self.sites, self.info.d_model)

    def collect(self, batch: Sequence[Sample]) -> Records:
        prompts: list[PassPrompt] = [sample.payload for sample in batch]
        positions = [prompt.positions for prompt in prompts]
        captured = self.engine.capture([prompt.ids for prompt in prompts], self.sites, positions, next_logits=True)
        assert captured.next_logits is not None, "next_logits=True"
        letters = [
            distribution(logits, prompt.spellings)
            for prompt, logits in zip(prompts, captured.next_logits.numpy(), strict=True)
        ]
        outputs = self._outputs(batch, captured.next_logits)
        rows = [self._row(*row) for row in zip(batch, letters, outputs, strict=True)]
        arrays = {
            "resid_post": captured.values.numpy(),
            "letter_logits": np.concatenate([d.logits for d in letters]).astype(np.float32),
            "letter_probs": np.concatenate([d.probs for d in letters]),
        }
        lengths = {"token": captured.lengths.numpy(), "choice": np.array([len(d.probs) for d in letters])}
        return Records(rows, arrays, lengths, {"resid_post": captured.exponents.numpy()})

    def _outputs(self, batch: Sequence[Sample], next_logits: Tensor) -> list[str]:
        """The text that the model writes after each prompt; next_logits: [prompt, vocabulary]."""
        if self.max_new_tokens == 1 and self.temperature == 0:  # already known
            return [self.info.tokens.decode([int(token)]) for token in next_logits.argmax(-1)]
        decoder = self.engine.decoder((), self.stop_check)
        state = decoder.prefill([s.payload.ids for s in batch])
        keys = [StreamKey(self.seed, s.sample_id, 0) for s in batch]
        sampling = Sampling(temperature=self.temperature, top_p=self.top_p, top_k=0)
        continued = decoder.sample(
            state, self.max_new_tokens, sampling, keys, stop_ids=self.info.eos_ids, feed_last=False
        )
        return [
            self.info.tokens.decode(ids[:n].tolist())
            for ids, n in zip(continued.token_ids.cpu(), continued.lengths.cpu(), strict=True)
        ]

    def _row(self, sample: Sample, over: Distribution, output: str) -> dict[str, Any]:
        prompt: PassPrompt = sample.payload
        kind, question = prompt.kind, prompt.question
        letters = letters_of(kind)
        written = letter_in(output, letters)
        answer = written or letters[int(over.probs.argmax())]
        expected = None if kind == "mcq" else float(over.probs @ np.array(MIDPOINTS))
        return {
            "sample_id": sample.sample_id,
            "sample_index": sample.index,
            "question_id": question.question_id,
            "question_text": question.text,
            "options": list(question.options),
            "correct_answer_letter": question.answer_letter,
            "subject": question.subject,
            "model_name": self.info.name,
            "checkpoint_id": self._checkpoint,
            "prompt_type": kind,
            "prompt_text": prompt.text,
            "input_ids": prompt.ids,
            "positions": prompt.positions,
            "answer_position": len(prompt.ids) - 1,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_new_tokens": self.max_new_tokens,
            "output_text": output,
            "parsed_answer": answer,
            "answer_source": "text" if written else "letters",
            "is_correct": answer == question.answer_letter if kind == "mcq" else None,
            "letters": list(letters),
            "logits": over.logits.tolist(),
            "probs": over.probs.tolist(),
            "entropy": over.entropy,
            "logit_margin": margin(over.logits, question.answer_index) if kind == "mcq" else None,
            "outside_mass": over.outside,
            "self_confidence": expected if kind == "self_confidence" else None,
            "other_confidence": expected if kind == "other_confidence" else None,
            **prompt.surface,
        }


def _checkpoint(info: ModelInfo) -> str:
    """The Hub's commit or a hash of the weights, and the adapter's behind a plus sign."""
    fingerprint = info.fingerprint()
    parts = [part for part in (fingerprint["model"], fingerprint["adapter"]) if part]
    return "+".join(part.get("commit") or stores.fingerprint_hash(part)[:16] for part in parts)
