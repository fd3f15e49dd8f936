"""Compares the probe's probabilities with the tags that the model's own continuations give the word.

For every resampled prefix: complete the sentence with each draw, tag the target word with a tagger that sees both
sides, count. If the probe is unsure because the language is, the counts follow its probabilities (see `agreement`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.agreement import (
    agreement,
    better_than,
    mean_estimate,
    sampling_floor,
    shuffled,
    terms,
)
from lit_experiments.experiments.pos.ambiguity_report import write_nothing, write_report
from lit_experiments.experiments.pos.candidates import open_tokens
from lit_experiments.experiments.pos.groups import Place, groups_of, origin, too_few
from lit_experiments.experiments.pos.outcomes import Outcomes, tag_outcomes
from lit_experiments.experiments.pos.prefixes import Prefixes, extremes, listed, marked
from lit_experiments.experiments.pos.tagger import CRF, CrfSettings, Tagger, crf_tagger, other_tagger, tagger_accuracy
from lit_experiments.experiments.pos.types import TypeTable
from lit_experiments.plain import write_json
from lit_experiments.ranges import above, at_least, seeds
from lit_experiments.sources.treebank import Treebank, read_treebank
from lit_experiments.statistics import GroupBootstrap
from stores import Store, open_store

READS = "pos_resample"
LEVEL = 0.95
TAGGERS = "pos_taggers"  # folder in the run where trained taggers are kept
Floats = NDArray[np.float64]


class PosAmbiguity:
    """Reads a `pos_resample` store; writes metrics, figures, every prefix's numbers and a report."""

    reads: ClassVar[str] = READS

    def __init__(
        self,
        tagger: str,
        treebank: str | None,
        extended: Literal["exclude", "tag"],
        min_draws: int,
        type_weight: float,
        crf_c1: float,
        crf_c2: float,
        crf_iterations: int,
        permutations: int,
        simulations: int,
        bootstraps: int,
        bins: int,
        examples: int,
        seed: int,
    ) -> None:
        """Checks the settings.

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
            permutations: Shuffled pairings, as a control.
            simulations: Draws from the probe's own probabilities, to see what sampling alone does.
            bootstraps: Resamples of the bootstrap over documents (over sentences where there are too few documents).
            bins: Bins of probability for calibration.
            examples: Most and least explained prefixes to show, so many each.
            seed: Seed of pairings, simulations and bootstrap.
        """
        at_least(1, min_draws=min_draws, permutations=permutations, simulations=simulations)
        at_least(1, bootstraps=bootstraps, bins=bins, crf_iterations=crf_iterations)
        at_least(0, crf_c1=crf_c1, crf_c2=crf_c2, examples=examples)
        above(0, type_weight=type_weight)
        seeds(seed=seed)
        self.tagger, self.treebank, self.extended, self.min_draws = tagger, treebank, extended, min_draws
        self.type_weight, self.crf = type_weight, CrfSettings(crf_c1, crf_c2, crf_iterations)
        self.permutations, self.simulations, self.bootstraps = permutations, simulations, bootstraps
        self.bins, self.examples, self.seed = bins, examples, seed

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from.

        Raises:
            UserError: the store is none of resampled prefixes.
        """
        store = _open(run)
        settings = {key: value for key, value in vars(self).items() if key != "crf"} | {"crf": vars(self.crf)}
        return {"store": store.fingerprint, "rows": len(store), "settings": settings}

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Tags, compares, writes everything into `out`; returns the tables and where the page is."""
        store = _open(run)
        if not len(store):
            return write_nothing(out, store)
        bank = self._treebank(store)
        tagger = self._tagger(bank, run)
        rows = store.table().to_pylist()
        sentences = {f"{s.split}/{s.sent_id}": s for s in bank.sentences}
        outcomes = tag_outcomes(rows, sentences, tagger, self.extended)
        prefixes = self._prefixes(store, rows, outcomes, bank)
        metrics = self._setting(store, rows, outcomes, prefixes, tagger, bank)
        if len(prefixes.rows):
            metrics |= self._compare(prefixes, metrics)
        write_json(out / "prefixes.json", listed(prefixes, metrics["classes"], outcomes))
        text = write_report(out, metrics, store)
        write_json(out / "metrics.json", metrics)
        return text

    def _treebank(self, store: Store) -> Treebank:
        """The treebank of the prefixes. Raises UserError where another one, or none, is found."""
        source, malformed = self.treebank, "stop"
        if source is None:
            source, malformed = _recorded(store)
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
        return crf_tagger(bank.split("train"), bank.digest, self.crf, run / TAGGERS)

    def _prefixes(self, store: Store, rows: list[dict[str, Any]], outcomes: Outcomes, bank: Treebank) -> Prefixes:
        classes = store.fingerprint["settings"]["classes"]
        counts = np.zeros((len(rows), len(classes)), np.int64)
        for tag, column in zip(outcomes.tags, outcomes.counts.T, strict=True):
            if tag in classes:
                counts[:, classes.index(tag)] = column
        kept = np.flatnonzero(counts.sum(1) >= self.min_draws)
        chosen = [rows[at] for at in kept]
        words = [word for s in bank.sentences if s.split == "train" for word in s.words if word.upos in classes]
        codes = np.array([classes.index(word.upos) for word in words], np.int64)
        table = TypeTable.of([word.form for word in words], codes, len(classes))
        forecast = np.array([row["probe_probs"] for row in chosen]).reshape(len(chosen), len(classes))
        prior = table.prior([row["word"] for row in chosen], self.type_weight)
        groups = groups_of(_places(chosen))
        return Prefixes(forecast, prior, counts[kept], groups, chosen, kept)

    def _setting(
        self,
        store: Store,
        rows: list[dict[str, Any]],
        outcomes: Outcomes,
        prefixes: Prefixes,
        tagger: Tagger,
        bank: Treebank,
    ) -> dict[str, Any]:
        usable = outcomes.counts.sum()
        inside = sum(outcomes.counts[:, at].sum() for at, tag in enumerate(outcomes.tags) if tag in _classes(store))
        gold = np.array([row["true_label"] == tag for row, tag in zip(rows, outcomes.gold, strict=True)], np.float64)
        boot = self._boot(groups_of(_places(rows)).names)
        test = bank.split("test") if "test" in bank.splits else ()
        return {
            "classes": _classes(store),
            "layer": store.fingerprint["settings"]["layer"],
            "generation": {k: store.fingerprint["settings"][k] for k in _GENERATION},
            "tagger": tagger.name,
            "tagger_test": tagger_accuracy(tagger, test, self._boot) if test else None,
            "tagger_on_targets": mean_estimate(gold, boot),
            "prefixes": len(rows),
            "prefixes_used": len(prefixes.rows),
            "documents": prefixes.groups.documents,
            "documents_from": origin((row["doc_from"], f"{row['part']}/{row['doc_id']}") for row in prefixes.rows),
            "unit": prefixes.groups.unit,
            "groups": str(prefixes.groups),
            "too_few": too_few({"prefixes": prefixes.groups}),
            "draws": outcomes.draws,
            "extended": self.extended,
            "extended_share": float(outcomes.extended.sum() / (len(rows) * outcomes.draws)),
            "outside_share": float((usable - inside) / usable) if usable else float("nan"),
            "usable_draws": float(prefixes.counts.sum(1).mean()) if len(prefixes.rows) else float("nan"),
            "min_draws": self.min_draws,
            "interval_level": LEVEL,
            "permutations": self.permutations,
            "bins": self.bins,
            "type_weight": self.type_weight,
        }

    def _compare(self, prefixes: Prefixes, metrics: dict[str, Any]) -> dict[str, Any]:
        boot = self._boot(prefixes.groups.names)
        codes = np.unique(prefixes.groups.names, return_inverse=True)[1].reshape(-1)
        forecasts = {"probe": prefixes.forecast, "prior": prefixes.prior}
        found = {name: agreement(f, prefixes.counts, boot, self.bins) for name, f in forecasts.items()}
        control = shuffled(prefixes.forecast, prefixes.counts, codes, self.permutations, self.bins, self.seed)
        own = found["probe"]
        real, prior = terms(prefixes.forecast, prefixes.counts), terms(prefixes.prior, prefixes.counts)
        return {
            **found,
            "shuffled": control,
            "p": {
                "divergence": better_than(own.divergence.value, control.divergence, lower=True),
                "share": better_than(own.share.value, control.share, lower=False),
                "entropies": better_than(own.entropies.value, control.entropies, lower=False),
                "calibration_error": better_than(own.calibration_error.value, control.calibration_error, lower=True),
            },
            "floor": sampling_floor(prefixes.forecast, prefixes.counts, self.simulations, self.seed),
            "below_prior": mean_estimate(real.divergence - prior.divergence, boot),
            "marked": marked(prefixes, real, boot),
            "scatter": {"uncertainty": real.uncertainty, "ambiguity": real.ambiguity, "divergence": real.divergence},
            "shown": extremes(prefixes, real, self.examples),
        }

    def _boot(self, groups: NDArray[np.str_]) -> GroupBootstrap:
        return GroupBootstrap(groups, resamples=self.bootstraps, level=LEVEL, seed=self.seed)


_GENERATION = ("num_samples", "temperature", "top_p", "max_new_tokens", "seed", "conf_thresh", "part", "order")


def _open(run: Path) -> Store:
    store = open_store(run / "store")
    missing = {"probe_probs", "completions", "true_label", "doc_from"} - set(store.column_names)
    if missing:
        raise UserError(
            f"{store.path} is no store of {READS}: it lacks {', '.join(sorted(missing))}.\n"
            f"Next: python collect.py --exp {READS}, or point --run at such a run."
        )
    return store


def _places(rows: list[dict[str, Any]]) -> list[Place]:
    return [Place(row["part"], row["doc_id"], row["doc_from"], row["sent_id"]) for row in rows]


def _classes(store: Store) -> list[str]:
    return list(store.fingerprint["settings"]["classes"])


def _recorded(store: Store) -> tuple[str, str]:
    """(source, malformed) of the treebank that the run of labelled words behind these prefixes read."""
    given = store.provenance.get("config", {}).get("init_args", {})
    if "probe" in given:
        words = open_tokens(Path(given["probe"]), given.get("tokens"))
        init = words.store.provenance.get("config", {}).get("init_args", {})
        if "treebank" in init:
            return init["treebank"], init["malformed"]
    raise UserError(f"{store.path} does not say which treebank it is from.\nNext: name it with --treebank.")
