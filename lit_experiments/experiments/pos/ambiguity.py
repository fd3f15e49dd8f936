"""Compares the probe's probabilities with the tags that the model's own continuations give the word.

For every resampled prefix: complete the sentence with each draw, tag the target word with a tagger that sees both
sides, count. If the probe is unsure because the language is, the counts follow its probabilities (see `agreement`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.agreement import Draws, agreement, sampling_floor, shuffled, terms
from lit_experiments.experiments.pos.ambiguity_page import ambiguity_page
from lit_experiments.experiments.pos.ambiguity_result import (
    AmbiguityResult,
    Compared,
    Counted,
    Dots,
    Generation,
    PValues,
    Setting,
    TaggerErrors,
)
from lit_experiments.experiments.pos.gold import HeldOut, held_out_gold, recorded_treebank
from lit_experiments.experiments.pos.groups import groups_of, origin, too_few
from lit_experiments.experiments.pos.outcomes import Outcomes, tag_outcomes
from lit_experiments.experiments.pos.prefixes import Prefixes, extremes, listed, marked
from lit_experiments.experiments.pos.resample_schema import READS, Resampled, read_rows
from lit_experiments.experiments.pos.tagger import CRF, CrfSettings, Tagger, crf_tagger, other_tagger, tagger_accuracy
from lit_experiments.experiments.pos.tagger_errors import kinds_of, true_tags
from lit_experiments.plain import shallow, write_json
from lit_experiments.ranges import above, at_least, reaching
from lit_experiments.reports.blocks import Page
from lit_experiments.sources.treebank import Treebank, read_treebank
from lit_experiments.statistics import LEVEL, Estimate, GroupBootstrap
from lit_experiments.statistics.max_t import max_t
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import AnalyzeTask, Opened
from stores import Store

TAGGERS = "pos_taggers"  # folder in the run where trained taggers are kept
_GENERATION = ("num_samples", "temperature", "top_p", "max_new_tokens", "seed", "conf_thresh", "part", "order")
_BETTER_SIGN = {"divergence": -1, "share": 1, "entropies": 1, "calibration_error": -1}
"""1 where more is better."""


@dataclass(frozen=True)
class _Tagged:
    """The store's rows, their treebank, and what the tagger makes of their continuations."""

    rows: list[Resampled]
    bank: Treebank
    tagger: Tagger
    outcomes: Outcomes
    classes: list[str]


@dataclass(frozen=True, kw_only=True)
class PosAmbiguity(AnalyzeTask[AmbiguityResult]):
    """Agreement of the probe's probabilities with the tags of the model's continuations, prefix by prefix.

    Intervals are over documents, over sentences where there are too few documents.

    Args:
        tagger: crf (trained on the treebank's training part), spacy:MODEL or stanza:LANGUAGE.
        treebank: The treebank that the prefixes are from; null takes the one that pos_tokens read.
        extended: Draws that go on with the target word itself ("book" + "s"): exclude (and count), or tag the
            longer word.
        min_draws: A prefix needs so many usable draws to count.
        type_weight: How many words of its type the distribution over all words counts for in the type's prior.
        crf_c1: Weight of the CRF's L1 penalty.
        crf_c2: Weight of the CRF's L2 penalty.
        crf_iterations: Steps of the CRF's training at most.
        permutations: Shuffled pairings, as a control, behind p-values.
        simulations: Draws from the probe's own probabilities, to see what sampling alone does.
        bins: Bins of probability for calibration.
        examples: Most and least explained prefixes to show, so many each.
    """

    tagger: str
    treebank: str | None
    extended: Literal["exclude", "tag"]
    min_draws: int
    type_weight: float
    crf_c1: float
    crf_c2: float
    crf_iterations: int
    permutations: int
    simulations: int
    bins: int
    examples: int

    reads: ClassVar[Reads] = READS
    result_type: ClassVar[type] = AmbiguityResult

    def check(self) -> None:
        """Raises UserError for settings out of range."""
        at_least(1, min_draws=self.min_draws, simulations=self.simulations)
        reaching(1 - LEVEL, permutations=self.permutations)
        at_least(1, bins=self.bins, crf_iterations=self.crf_iterations)
        at_least(0, crf_c1=self.crf_c1, crf_c2=self.crf_c2, examples=self.examples)
        above(0, type_weight=self.type_weight)

    def result(self, data: Opened) -> AmbiguityResult:
        """Tags the continuations, and compares their tags with the probe's probabilities.

        Raises:
            UserError: no treebank or another one than the prefixes', or no such tagger.
        """
        setting = self._setting(data)
        if not len(data.store):
            groups = groups_of([])
            undefined = Estimate.undefined(0, LEVEL)
            counted = Counted(
                tagger_on_targets=undefined, documents_from=origin([]), unit=groups.unit, groups=str(groups)
            )
            return AmbiguityResult(**shallow(setting), **shallow(counted), listed=[])
        bank = self._treebank(data.store)
        tagger = self._tagger(bank, data.run)
        rows = read_rows(data.store)
        sentences = {f"{s.split}/{s.sent_id}": s for s in bank.sentences}
        outcomes = tag_outcomes(rows, sentences, tagger, self.extended)
        tagged = _Tagged(rows, bank, tagger, outcomes, setting.classes)
        gold = held_out_gold(bank, tagger, setting.classes, ("train",) if self.tagger == CRF else ())
        prefixes = self._prefixes(tagged, gold)
        compared = self._compare(prefixes, gold) if prefixes.rows else Compared()
        numbers = listed(prefixes, terms(prefixes.forecast, prefixes.draws), setting.classes, outcomes)
        parts = (setting, self._counts(tagged, prefixes), compared)
        return AmbiguityResult(**{k: v for part in parts for k, v in shallow(part).items()}, listed=numbers)

    def page(self, result: AmbiguityResult, data: Opened) -> Page:
        """What came out, and the most and least explained prefixes."""
        return ambiguity_page(result, is_demonstration(data.store))

    def write(self, result: AmbiguityResult, data: Opened) -> None:
        """Writes every prefix's numbers."""
        write_json(data.out / "prefixes.json", result.listed)

    def _treebank(self, store: Store) -> Treebank:
        """The treebank of the prefixes. Raises UserError where another one, or none, is found."""
        source, malformed = self.treebank, "stop"
        if source is None:
            source, malformed = recorded_treebank(store)
        bank = read_treebank(source, malformed, store.fingerprint["settings"]["document_from"])
        if bank.digest != store.fingerprint["settings"]["treebank"]:
            raise UserError(
                f"{bank.name} is not the treebank that the prefixes of {store.path} come from (its content differs).\n"
                "Next: name that one with --treebank."
            )
        return bank

    def _tagger(self, bank: Treebank, run: Path) -> Tagger:
        if self.tagger != CRF:
            return other_tagger(self.tagger)
        if "train" not in bank.splits:
            raise UserError(
                f"{bank.name} has no training part to train the CRF on; it has: {', '.join(bank.splits)}.\n"
                "Next: name a tagger that is trained already: --tagger spacy:MODEL or --tagger stanza:LANGUAGE"
            )
        settings = CrfSettings(self.crf_c1, self.crf_c2, self.crf_iterations)
        return crf_tagger(bank.split("train"), bank.digest, settings, run / TAGGERS)

    def _prefixes(self, tagged: _Tagged, gold: HeldOut) -> Prefixes:
        classes, outcomes = tagged.classes, tagged.outcomes
        counts = np.zeros((len(tagged.rows), len(classes)), np.int64)
        for tag, column in zip(outcomes.tags, outcomes.counts.T, strict=True):
            if tag in classes:
                counts[:, classes.index(tag)] = column
        places = np.flatnonzero(counts.sum(1) >= self.min_draws)
        chosen = [tagged.rows[place] for place in places]
        table, forms = gold.types, [row.word for row in chosen]
        forecast = np.array([row.probe_probs for row in chosen]).reshape(len(chosen), len(classes))
        prior = table.prior(forms, self.type_weight)
        draws = Draws.counted(counts[places])
        if chosen and gold.errors.words:
            tags = true_tags(draws.counts, kinds_of(forms, table), gold.errors)
            draws = Draws(draws.counts, tags.shares, tags.ambiguity)
        return Prefixes(forecast, prior, draws, groups_of([row.place for row in chosen]), chosen, places)

    def _setting(self, data: Opened) -> Setting:
        return Setting(
            classes=list(data.setting("classes")),
            layer=data.setting("layer"),
            generation=Generation(**{name: data.setting(name) for name in _GENERATION}),
            extended=self.extended,
            min_draws=self.min_draws,
            interval_level=LEVEL,
            permutations=self.permutations,
            bins=self.bins,
            type_weight=self.type_weight,
        )

    def _counts(self, tagged: _Tagged, prefixes: Prefixes) -> Counted:
        rows, outcomes, groups = tagged.rows, tagged.outcomes, prefixes.groups
        usable = outcomes.counts.sum()
        inside = sum(outcomes.counts[:, k].sum() for k, tag in enumerate(outcomes.tags) if tag in tagged.classes)
        gold = np.array([row.true_label == tag for row, tag in zip(rows, outcomes.gold, strict=True)], np.float64)
        test = tagged.bank.split("test") if "test" in tagged.bank.splits else ()
        return Counted(
            tagger=tagged.tagger.name,
            tagger_test=tagger_accuracy(tagged.tagger, test, self.resampler) if test else None,
            tagger_on_targets=self.resampler(groups_of([row.place for row in rows]).names).mean(gold).item(),
            prefixes=len(rows),
            prefixes_used=len(prefixes.rows),
            documents=groups.documents,
            documents_from=origin((row.doc_from, f"{row.part}/{row.doc_id}") for row in prefixes.rows),
            unit=groups.unit,
            groups=str(groups),
            too_few=too_few({"prefixes": groups}),
            draws=outcomes.draws,
            extended_share=float(outcomes.extended.sum() / (len(rows) * outcomes.draws)),
            outside_share=float((usable - inside) / usable) if usable else float("nan"),
            usable_draws=float(prefixes.draws.counts.sum(1).mean()) if prefixes.rows else float("nan"),
        )

    def _compare(self, prefixes: Prefixes, gold: HeldOut) -> Compared:
        boot, draws = self.resampler(prefixes.groups.names), prefixes.draws
        codes = np.unique(prefixes.groups.names, return_inverse=True)[1].reshape(-1)
        probe, prior = (agreement(f, draws, boot, self.bins) for f in (prefixes.forecast, prefixes.prior))
        control = shuffled(prefixes.forecast, draws, codes, self.permutations, self.bins, self.seed)
        real, by_type = (terms(forecast, draws) for forecast in (prefixes.forecast, prefixes.prior))
        better = [sign * getattr(probe, name).value for name, sign in _BETTER_SIGN.items()]
        null = [sign * np.asarray(getattr(control, name)) for name, sign in _BETTER_SIGN.items()]
        p = dict(zip(_BETTER_SIGN, max_t(better, np.stack(null, 1)).tolist(), strict=True))
        return Compared(
            tagger_errors=self._tagger_errors(prefixes, gold, boot),
            probe=probe,
            prior=prior,
            shuffled=control,
            p=PValues(**p),
            floor=sampling_floor(prefixes.forecast, draws.counts, self.simulations, self.seed).tolist(),
            below_prior=boot.difference(real.divergence, by_type.divergence).item(),
            marked=marked(prefixes, real, boot),
            scatter=Dots(real.uncertainty.tolist(), real.ambiguity.tolist(), real.divergence.tolist()),
            shown=extremes(prefixes, real, self.examples),
        )

    def _tagger_errors(self, prefixes: Prefixes, gold: HeldOut, boot: GroupBootstrap) -> TaggerErrors | None:
        if not gold.errors.words:
            return None
        kinds = kinds_of([row.word for row in prefixes.rows], gold.types)
        counted = terms(prefixes.forecast, Draws.counted(prefixes.draws.counts))
        share = boot.ratio(counted.ambiguity, counted.loss).item()
        return TaggerErrors(gold.errors.words, gold.parts, gold.errors.accuracy(kinds), share)
