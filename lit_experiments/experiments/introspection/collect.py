"""Collects three passes per question: states of the whole prompt, and the distribution over the answer letters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

import stores
from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.plan import Sample
from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.export import export_npy
from lit_experiments.experiments.introspection.letters import (
    Distribution,
    distribution,
    letter_in,
    margin,
)
from lit_experiments.experiments.introspection.prompts import MIDPOINTS, PASSES, check_templates, letters_of, pass_name
from lit_experiments.experiments.introspection.samples import Prompts, described, select, stored_positions
from lit_experiments.experiments.introspection.schema import make_schema
from lit_experiments.experiments.introspection.summary import compare, describe
from lit_experiments.lm.capture import Captured, capture
from lit_experiments.lm.chat import chat_settings
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.sites import resolve_sites
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.ranges import at_least, seeds, share
from lit_experiments.sources.questions import QuestionColumns, read_questions
from stores import Records, Schema


class IntrospectionCollector(Collector):
    """For each question and pass: one prefill, hidden states, answer letters, and what the question looks like."""

    version: ClassVar[int] = 2
    describe = staticmethod(describe)
    compare = staticmethod(compare)
    export_npy = staticmethod(export_npy)

    def __init__(
        self,
        spec: ModelSpec,
        questions: str,
        question_column: str | None,
        answer_column: str | None,
        label_column: str | None,
        id_column: str | None,
        subject_column: str | None,
        answer_form: Literal["auto", "letter", "index", "text"],
        answer_index: Literal["zero", "one"] | None,
        quoting: Literal["auto", "standard", "none"],
        num_questions: int | None,
        shuffle_options: bool,
        seed: int,
        passes: list[str],
        templates: dict[str, str],
        chat_template: bool,
        chat_options: dict[str, Any],
        system_prompt: str | None,
        sites: list[str] | None,
        positions: str,
        temperature: float,
        top_p: float,
        max_new_tokens: int,
        token_counts: str | None,
        too_long: Literal["error", "skip"],
        malformed: Literal["stop", "skip"],
        *,
        options_column: str | list[str] | None = None,  # jsonargparse wants a default for such a union
    ) -> None:
        """Checks the settings; reads nothing but the questions and the model's configuration and tokenizer.

        Args:
            questions: JSONL, CSV or other data file, dataset folder, Hub id (NAME[@CONFIG][:SPLIT]), or "embedded".
            question_column: Key or column of the question; null finds question, ctx, prompt and the like.
            options_column: Key or column of the options (a list), or the names of four columns; null finds options,
                choices, endings, columns A-D, option_1-option_4 and the like.
            answer_column: Key or column of the right answer; null finds answer, answerKey, label and the like.
            label_column: Key or column of the list of what answers call the options, such as 1, 2, 3, 4; null takes the
                labels that stand with the options.
            id_column: Key or column of the id; null finds question_id or id.
            subject_column: Key or column of the subject; null finds subject, category and the like.
            answer_form: How answers are written: letter, index, text (of the option); auto decides by the whole source.
            answer_index: What numeric answers count from, zero or one; needed where neither labels nor a published
                layout says it.
            quoting: Of CSV and TSV files: standard (quotes enclose fields), none (quotes belong to the text), or auto.
            num_questions: How many, drawn at random; null takes all in their order. A larger number later asks the
                same ones and more, into the same store, which then holds bit for bit what it would hold if all had
                been asked at once.
            shuffle_options: Put each question's options into a random order.
            seed: Seed of selection, option order and sampling.
            passes: Which of mcq, self_confidence, other_confidence (also self_conf, other_conf) to run, in this order.
            templates: Each pass's prompt with {question}, {A}, {B}, {C}, {D}.
            chat_template: Put the prompt into the tokenizer's chat template.
            chat_options: Options of the chat template, e.g. {enable_thinking: false}.
            system_prompt: Text of a system turn in front of the prompt; null for none.
            sites: Where hidden states are read; null reads resid_post of every layer.
            positions: Which tokens' states are stored: all, answer (the last), or last_K, e.g. last_8.
            temperature: Of the output text; 0 takes the most probable token.
            top_p: Of the output text.
            max_new_tokens: Length of the output text.
            token_counts: JSON file {token id: count in a corpus}, for surprisal features; null leaves them empty.
            too_long: What to do with questions that do not fit the model's window: error, or skip (and count).
            malformed: At a malformed record: stop, or skip (and count).

        Raises:
            UserError: settings that contradict each other, a tokenizer that cannot name the letters.
        """
        super().__init__(spec)
        self.num_questions, self.shuffle_options, self.seed = num_questions, shuffle_options, seed
        self.passes, self.chat_template = [pass_name(each) for each in passes], chat_template
        self.templates = {pass_name(each): template for each, template in templates.items()}
        self.chat_options, self.system_prompt = chat_options, system_prompt
        self.positions, self.too_long, self.token_counts = positions, too_long, token_counts
        self.temperature, self.top_p, self.max_new_tokens = temperature, top_p, max_new_tokens
        self.sites = resolve_sites(
            sites or [f"resid_post.{i}" for i in range(self.info.n_layers)], self.info.layout, self.info.n_layers
        )
        self._check()
        self._counts = _read_counts(token_counts)
        columns = QuestionColumns(
            question_column,
            options_column,
            answer_column,
            label_column,
            id_column,
            subject_column,
            answer_form,
            answer_index,
        )
        self._source = read_questions(questions, columns, malformed=malformed, quoting=quoting)
        chosen, self._beside = select(self._source.records, num_questions, shuffle_options, seed)
        chat = chat_settings(chat_template, chat_options, system_prompt)
        self._prompts = Prompts(self.info, self.passes, self.templates, chat, positions, self._counts)
        total = len(self._source.records)
        self._samples, notes = self._prompts.samples(chosen, total, max_new_tokens, too_long)
        self._notes = [described(self._source, len(chosen)), *self._source.notes, *notes]
        self._checkpoint = _checkpoint(self.info)

    def samples(self) -> Sequence[Sample]:
        return self._samples

    def companions(self) -> Sequence[Sample]:
        total = len(self._source.records)
        return self._prompts.samples(self._beside, total, self.max_new_tokens, "skip")[0]

    def notes(self) -> list[str]:
        return self._notes

    def settings(self) -> dict[str, Any]:
        names = ["shuffle_options", "seed", "passes", "templates", "chat_template", "sites"]
        names += ["chat_options", "system_prompt"]
        names += ["positions", "temperature", "top_p", "max_new_tokens", "too_long"]
        counts = None if self._counts is None else sorted(self._counts.items())
        return {"questions": self._source.digest, "token_counts": counts} | {n: getattr(self, n) for n in names}

    def schema(self) -> Schema:
        return make_schema(self.sites, self.info.d_model)

    def collect(self, batch: Sequence[Sample]) -> Records:
        found = capture(
            self.lm,
            [s.payload["ids"] for s in batch],
            self.sites,
            [s.payload["positions"] for s in batch],
            next_logits=True,
        )
        assert found.next_logits is not None, "asked for above"
        over = [
            distribution(logits, s.payload["spellings"])
            for s, logits in zip(batch, found.next_logits.numpy(), strict=True)
        ]
        outputs = self._outputs(batch, found)
        rows = [self._row(s, d, text) for s, d, text in zip(batch, over, outputs, strict=True)]
        arrays = {
            "resid_post": found.values.numpy(),
            "letter_logits": np.concatenate([d.logits for d in over]).astype(np.float32),
            "letter_probs": np.concatenate([d.probs for d in over]),
        }
        choices = np.array([len(d.probs) for d in over])
        lengths = {"token": found.lengths.numpy(), "choice": choices}
        return Records(rows, arrays, lengths, {"resid_post": found.exponents.numpy()})

    def _outputs(self, batch: Sequence[Sample], found: Captured) -> list[str]:
        """The text that the model writes after each prompt."""
        assert found.next_logits is not None, "collect asks for them"
        if self.max_new_tokens == 1 and self.temperature == 0:  # already known
            return [self.info.tokens.decode([int(token)]) for token in found.next_logits.argmax(-1)]
        decoder = Decoder(self.lm, (), self.stop_check)
        state = decoder.prefill([s.payload["ids"] for s in batch])
        keys = [StreamKey(self.seed, s.sample_id, 0) for s in batch]
        sampling = Sampling(temperature=self.temperature, top_p=self.top_p, top_k=0)
        drawn = decoder.sample(state, self.max_new_tokens, sampling, keys, stop_ids=self.info.eos_ids, feed_last=False)
        return [
            self.info.tokens.decode(ids[:n].tolist())
            for ids, n in zip(drawn.token_ids.cpu(), drawn.lengths.cpu(), strict=True)
        ]

    def _row(self, sample: Sample, found: Distribution, output: str) -> dict[str, Any]:
        kind, question = sample.payload["kind"], sample.payload["question"]
        letters = letters_of(kind)
        written = letter_in(output, letters)
        answer = written or letters[int(found.probs.argmax())]
        expected = None if kind == "mcq" else float(found.probs @ np.array(MIDPOINTS))
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
            "prompt_text": sample.payload["prompt"],
            "input_ids": sample.payload["ids"],
            "positions": sample.payload["positions"],
            "answer_position": len(sample.payload["ids"]) - 1,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_new_tokens": self.max_new_tokens,
            "output_text": output,
            "parsed_answer": answer,
            "answer_source": "text" if written else "letters",
            "is_correct": answer == question.answer_letter if kind == "mcq" else None,
            "letters": list(letters),
            "logits": found.logits.tolist(),
            "probs": found.probs.tolist(),
            "entropy": found.entropy,
            "logit_margin": margin(found.logits, question.answer_index) if kind == "mcq" else None,
            "outside_mass": found.outside,
            "self_confidence": expected if kind == "self_confidence" else None,
            "other_confidence": expected if kind == "other_confidence" else None,
            **sample.payload["surface"],
        }

    def _check(self) -> None:
        check_templates(self.templates)
        if not self.passes or len(set(self.passes)) < len(self.passes) or not set(self.passes) <= set(PASSES):
            raise UserError(f"passes must name each of {', '.join(PASSES)} at most once, found {self.passes}.")
        stored_positions(self.positions, 1)
        at_least(1, num_questions=self.num_questions, max_new_tokens=self.max_new_tokens)
        at_least(0, temperature=self.temperature)
        share(top_p=self.top_p)
        seeds(seed=self.seed)


def _checkpoint(info: ModelInfo) -> str:
    """The Hub's commit or a hash of the weights, and the adapter's behind a plus sign."""
    described = info.fingerprint()
    parts = [part for part in (described["model"], described["adapter"]) if part]
    return "+".join(part.get("commit") or stores.fingerprint_hash(part)[:16] for part in parts)


def _read_counts(path: str | None) -> dict[int, int] | None:
    """{token id: count}. Raises UserError for anything else in the file."""
    if path is None:
        return None
    try:
        return {int(token): int(count) for token, count in json.loads(Path(path).read_text(encoding="utf-8")).items()}
    except OSError as error:
        raise UserError(f"Cannot read --token_counts {path}: {error.strerror}.") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(f"--token_counts {path}: expected a JSON object {{token id: count}}; {error}.") from error
