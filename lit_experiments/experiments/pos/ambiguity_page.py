"""The page of the comparison of the probe's probabilities with the continuations' tags, as blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lit_experiments.experiments.pos import ambiguity_figures as figures
from lit_experiments.experiments.pos.ambiguity_result import AmbiguityResult
from lit_experiments.experiments.pos.prefixes import PrefixNumbers
from lit_experiments.reports.blocks import Block, Cell, Column, Note, Page, Section, Statement, Table
from lit_experiments.reports.cells import interval, number
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.reports.findings import power_of

_TITLE = "Part of speech: is the probe's uncertainty the language's own ambiguity?"
_QUESTION = (
    "When a probe is unsure of a word's part of speech, is that because the sentence could still go several ways, so "
    "that the model's own continuations disagree about the word in the same proportions?"
)
_NOTHING = "No prefix was resampled: the probe is sure of every word that was scanned, so there is nothing to compare."
_MEASURES = {
    "divergence": "divergence",
    "entropies": "correlation of entropies",
    "calibration_error": "calibration error",
    "share": "share explained",
}
_MEANS = {"uncertainty": "entropy", "ambiguity": "entropy of the tags", "loss": "log-loss"}
_AGREEMENT = (
    Column("measure"),
    Column("probe", "estimate"),
    Column("shuffled pairs", "number", meaning="mean over pairings"),
    Column("2.5 %", "number", meaning="of the shuffled pairings"),
    Column("97.5 %", "number", meaning="of the shuffled pairings"),
    Column("p", "p", meaning="of the probe against the shuffled pairings, corrected over the four (max-T)"),
    Column("type's prior", "estimate"),
)
_MARKED = (
    Column("words"),
    Column("prefixes", "count", of="prefixes"),
    Column("probe's entropy", "estimate", of="uncertainty"),
    Column("ambiguity", "estimate", of="ambiguity"),
    Column("divergence", "estimate", of="divergence"),
    Column("share explained", "estimate", of="share"),
)
_READ = (
    "Probe: its probabilities and the tags of the continuations, means over prefixes with {level:.0%} "
    "intervals over {unit}. Shuffled pairs: the same probabilities with the continuations of a prefix of another "
    "{single}, mean and 95 % range of {permutations} pairings; p from these. Type's prior: the word type's tags in the "
    "training part (drawn towards those of all words, which count for {weight:g} of the type) in place of the probe. "
    "Divergence: Jensen-Shannon, nats (0 equal, 0.693 disjoint); draws from the probe's own probabilities would give "
    "{floor:.3f}. Share explained: the part of the probe's log-loss that no forecaster could avoid; 1 if all of the "
    "probe's uncertainty is the language's, 0 if none."
)
_METHODS = (
    "Each prefix ends with the target word. Each of its {draws} continuations completes the sentence; a tagger that "
    "sees both sides of the word ({tagger}) tags it there; prefixes with fewer than {least} usable draws are left out. "
    "The continuations are drawn at temperature {temperature:g} and top-p {top_p:g}, which makes them more alike than "
    "the model's own distribution is.",
    "Entropies: Spearman correlation of the entropy of the probabilities with that of the continuations' tags "
    "(Miller-Madow corrected, as {usable:.0f} draws show too little). Calibration error: probability by which {bins} "
    "bins of probability miss, summed over a prefix's tags. Share explained: the entropy of the continuations' tags "
    "over the log-loss of the probabilities on them (Kull and Flach 2015), both of the true tags that the "
    "tagger's errors on held-out gold words of the same kind leave likely (intervals take these errors as known); "
    "divergence and calibration are of the tags as given. p: (1 + shuffled pairings at least as good) / (1 + "
    "pairings).",
)
_EXAMPLES = (
    Column("prefix", meaning="its end"),
    Column("treebank", meaning="the word's tag there"),
    Column("probe", meaning="the two most probable tags"),
    Column("continuations", meaning="the two commonest tags"),
    Column("JS", "number", 2, "divergence, nats"),
    Column("share", "number", 2, "share explained"),
    Column("such as", meaning="the beginning of a continuation with each tag"),
)
_SHOWN = (
    "Treebank: the word's tag there. Probe, continuations: the two most probable tags. JS: divergence. Share: that "
    "explained. Such as: the beginning of a continuation with each tag."
)
_ON_TERMINAL = 5  # examples


def ambiguity_page(result: AmbiguityResult, demonstration: bool) -> Page:
    """The page; demonstration: the data are the embedded model's."""
    compared = result.probe is not None
    return Page(
        title=_TITLE,
        question=_QUESTION,
        done=_done(result),
        outcome=_outcome(result),
        certainty=_certainty(result),
        sections=[*(_sections(result) if compared else []), *_counted(result)],
        methods=[text.format(**_values(result)) for text in _METHODS] if compared else [],
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _done(result: AmbiguityResult) -> str:
    options = result.generation
    return (
        f"{result.prefixes:,} prefixes of the {options.part} part at which the probe of {result.layer} is below "
        f"{options.conf_thresh:g} were continued by the model, {options.num_samples} times each, by at most "
        f"{options.max_new_tokens} tokens at temperature {options.temperature:g}, top-p {options.top_p:g}, seed "
        f"{options.seed}."
    )


def _outcome(result: AmbiguityResult) -> list[str]:
    probe, p, below = result.probe, result.p, result.below_prior
    if probe is None or p is None or below is None:
        return ["No prefix is left to compare." if result.prefixes else _NOTHING]
    side = {-1: "closer to", 1: "further from", 0: "not seen to be closer to or further from"}[below.side_of(0)]
    closer = f"The probe is {side} the continuations than the type's prior{'' if below.side_of(0) else power_of(below)}"
    if not below.has_interval:
        closer = "The probe cannot be compared with the type's prior"
    return [
        f"The ambiguity of the model's own continuations makes up a share of {interval(probe.share)} of the probe's "
        f"log-loss (1: all of it is the language's, 0: none; p {number(p.share)} against shuffled pairs), over "
        f"{result.prefixes_used:,} prefixes of {result.groups}. {_errors(result)} Mean entropy of the probe "
        f"{number(probe.uncertainty.value)} nats, of the continuations' tags {number(probe.ambiguity.value)}.",
        f"{closer}: difference of the divergences {interval(below)}.",
    ]


def _errors(result: AmbiguityResult) -> str:
    """Whether, and from what, the share is freed of the tagger's errors."""
    errors = result.tagger_errors
    if errors is None:
        return "No gold words are held out from the tagger, so its errors count as ambiguity."
    return (
        f"The tagger's errors are taken out of it: of {errors.words:,} held-out words ({', '.join(errors.parts)}) "
        f"those of the prefixes' kinds are tagged rightly at {errors.right:.1%}; with them it would be "
        f"{interval(errors.uncorrected)}."
    )


def _certainty(result: AmbiguityResult) -> str:
    if result.probe is None:
        return "Nothing was compared."
    sure = f"Intervals are {result.interval_level:.0%}, over {result.groups}."
    right = f"The tagger is right on {interval(result.tagger_on_targets)} of the target words in their own sentences."
    return " ".join([sure, right, *result.too_few])


def _counted(result: AmbiguityResult) -> list[Section]:
    """What was tagged, and which prefixes and draws count."""
    if not result.prefixes:
        return []
    test = result.tagger_test
    longer = "left out" if result.extended == "exclude" else "tagged as the longer word"
    known = "not known (there is none)"
    if test is not None:
        known = f"{interval(test.accuracy)} of {test.words:,} words of {test.groups}"
    lines = [
        f"Tagger: {result.tagger}; accuracy on the test part {known}, on the target words in the treebank's own "
        f"sentences {interval(result.tagger_on_targets)}.",
        f"In {result.extended_share:.1%} of the continuations the target word itself goes on ({longer}); in "
        f"{result.outside_share:.1%} of the others its tag is none of the probe's (left out).",
    ]
    short = result.prefixes - result.prefixes_used
    if short:
        lines.append(f"{short:,} prefixes have fewer than {result.min_draws} usable draws and are left out.")
    if result.prefixes_used:
        lines.append(f"Documents of the prefixes: {result.documents_from}.")
    return [Section("What was tagged, and what was left out", [Statement(line) for line in lines])]


def _sections(result: AmbiguityResult) -> list[Section]:
    tables: list[Block] = [
        _agreement(result),
        Note(_READ.format(**_values(result))),
        figures.dots(result),
        figures.distribution(result),
        figures.means(result),
    ]
    sections = [Section("Probe and continuations", tables)]
    if result.marked is not None:
        sections.append(
            Section(
                "Words that the treebank marks as open until what follows",
                [Table.of("marked", "", _MARKED, result.marked.items())],
            )
        )
    shown = result.shown or {}
    for kind, places in shown.items():
        examples = _examples(kind, [result.listed[place] for place in places])
        notes = [Note(_SHOWN)] if kind == "most" else []
        sections.append(Section(f"The {kind} explained", [examples, *notes]))
    return sections


def _agreement(result: AmbiguityResult) -> Table:
    rows: list[list[Cell]] = []
    for name, label in _MEASURES.items():
        probe, prior = getattr(result.probe, name), getattr(result.prior, name)
        rows.append([label, probe, *_range(getattr(result.shuffled, name)), getattr(result.p, name), prior])
    for name, label in _MEANS.items():
        rows.append([label, getattr(result.probe, name), None, None, None, None, getattr(result.prior, name)])
    return Table("agreement_measures", "", _AGREEMENT, rows)


def _range(values: Sequence[float]) -> list[Cell]:
    """Mean, 2.5 and 97.5 % quantile of the numbers among them."""
    known = np.array(values)[np.isfinite(values)]
    if not len(known):
        return [None, None, None]
    return [float(known.mean()), *np.quantile(known, [0.025, 0.975]).tolist()]


def _examples(kind: str, prefixes: list[PrefixNumbers]) -> Table:
    return Table(f"{kind}_explained", "", _EXAMPLES, [_example(prefix) for prefix in prefixes], most=_ON_TERMINAL)


def _example(prefix: PrefixNumbers) -> list[Cell]:
    total = sum(prefix.draws.values())
    shares = {tag: count / total for tag, count in prefix.draws.items()}
    top = sorted(shares, key=lambda tag: -shares[tag])[:2]
    such = " / ".join(f"{tag}: {_start(prefix.completions[tag])}" for tag in top)
    numbers: list[Cell] = [prefix.divergence, prefix.share]
    return [_end(prefix.prefix), prefix.true_label, _top(prefix.probe), _top(shares), *numbers, such]


def _top(shares: dict[str, float]) -> str:
    ranked = sorted(shares.items(), key=lambda pair: -pair[1])[:2]
    return ", ".join(f"{tag} {share:.2f}" for tag, share in ranked)


def _end(text: str, length: int = 44) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else "..." + flat[3 - length :]


def _start(text: str, length: int = 22) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 3] + "..."


def _values(result: AmbiguityResult) -> dict[str, str | float]:
    """What the texts name."""
    return {
        "level": result.interval_level,
        "unit": result.unit,
        "single": result.unit.removesuffix("s"),
        "permutations": result.permutations,
        "weight": result.type_weight,
        "floor": float(np.mean(result.floor or [np.nan])),
        "draws": result.draws,
        "tagger": result.tagger,
        "least": result.min_draws,
        "temperature": result.generation.temperature,
        "top_p": result.generation.top_p,
        "usable": result.usable_draws,
        "bins": result.bins,
    }
