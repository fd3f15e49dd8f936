"""The page of the probes of any labels, as blocks."""

from __future__ import annotations

from collections.abc import Iterator

from lit_experiments.claims.cells import verdicts_matrix
from lit_experiments.claims.rule import SUPPORTED, in_words
from lit_experiments.experiments.linear_probes.result import (
    ControlScore,
    LinearProbesResult,
    SplitSummary,
    TargetResult,
)
from lit_experiments.experiments.linear_probes.verdicts import evidence_of
from lit_experiments.reports.blocks import (
    Block,
    Cell,
    Column,
    Curves,
    Level,
    Matrix,
    Note,
    Page,
    Panel,
    Range,
    Section,
    Series,
    Statement,
    Table,
    Verdict,
)
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.statistics import Estimate

NAMES = {"r2": "R2", "auroc": "AUROC"}
_FLOOR, _TOP = -0.35, 1.04  # R2 may lie far below 0 in a bad layer; scores of 1 are seen whole
_SCORES = (
    Column("target", of="target"),
    Column("score", of=lambda r: NAMES[r.score_name]),
    Column("chance", "number", 2, "score of a prediction that knows nothing of the row", of="chance"),
    Column("held out", "estimate", 3, "score on test rows, at the chosen layer", of="score"),
    Column("field", meaning="chosen in the training part", of="field"),
    Column("layer", meaning="chosen in the training part", of="layer"),
    Column("p", "p", meaning="from permuted test labels, corrected over the targets (max-T)", of="p_targets"),
    Column("surface", "estimate", 3, "text, lengths and place alone", of=lambda r: _alone(r, "surface")),
    Column("over surface", "estimate", 3, "what the states add to it, paired", of=lambda r: _gain(r, "surface")),
    Column("over output", "estimate", 3, "what the states add to the model's output", of=lambda r: _gain(r, "output")),
    Column(
        "best twin",
        "estimate",
        3,
        "random weights or features, probed alike",
        of=lambda r: None if r.twins is None else r.twins.best,
    ),
    Column("shuffled", "estimate", 2, "mean and range of linear probes of shuffled labels", of=lambda r: _shuffles(r)),
)
_ROWS = (
    Column("target", of="target"),
    Column("kind", of="kind"),
    Column("because of", of="reason"),
    Column("method", of="method"),
    Column("classes", of=lambda r: ", ".join(r.classes[:12]) + (", ..." if len(r.classes) > 12 else "")),
    Column("rows", "count", of="rows"),
    Column("test rows", "count", of="test_rows"),
    Column("test groups", "count", of="test_groups"),
    Column("missing", "count", meaning="labels without a value", of="missing"),
)
_UNTESTED = (
    Column("target", of="target"),
    Column("verdict", of="verdict.word"),
    Column("because", of="reason"),
    Column("missing", "count", meaning="labels without a value", of="missing"),
)
_CONTROLS = (
    Column("target"),
    Column("control"),
    Column("model", meaning="chosen in the training part", of="model"),
    Column("alone", "estimate", of="score"),
    Column("with states", "estimate", of="with_states"),
    Column("gain", "estimate", meaning="paired", of="gain"),
    Column("states of", of="layer"),
)
_NUMBERS = (
    Column("target"),
    Column("R2", "estimate", of="r2"),
    Column("Spearman", "estimate", of="spearman"),
    Column("mean absolute error", "estimate", None, "in the target's units", of="mae"),
)
_CLASSES = (
    Column("target"),
    Column("AUROC", "estimate", of="auroc"),
    Column("AUPR", "estimate", meaning="average precision", of="aupr"),
    Column("recall at 1 % FPR", "estimate", of="recall_at_1_percent"),
    Column("accuracy", "estimate", of="accuracy"),
    Column("majority", "number", meaning="accuracy of the commonest training class"),
    Column("balanced accuracy", "estimate", of="balanced_accuracy"),
    Column(
        "calibration error", "estimate", meaning="of the most probable class, root mean square", of="calibration_error"
    ),
    Column("Brier", "estimate", of="brier"),
    Column("log loss", "estimate", meaning="nats", of="log_loss"),
)
_TRANSFER = (
    Column("target"),
    Column("run", of="run"),
    Column("rows", "count", of="rows"),
    Column("groups", "count", of="groups"),
    Column("left out", "count", meaning="rows of which the text or the group was trained on", of="left_out"),
    Column("score", "estimate", meaning="at the chosen layer", of="score"),
    Column("note", of="note"),
)
_METHODS = (
    "Split: {by}; {groups} groups, the largest of {largest} rows. {folds} folds of the training part choose penalty, "
    "layer and field by squared error (numbers) or log-loss (classes). Intervals: {level:.0%}, over the "
    "groups of the test part. AUROC, AUPR and recall are of the second of two classes, or the mean of one against the "
    "rest.",
    "Surface: text (words, word pairs, their places and order, character n-grams, numbers written in it, the labels of "
    "like texts), lengths, place, the labels of rows nearby and columns such as source, by linear models and boosted "
    "trees, chosen by the same folds. Over surface: R2 or AUROC of its prediction plus a ridge on the states for what "
    "it leaves, minus that of its prediction, paired by group; over the output alike. Best twin: of several of the "
    "same architecture with random weights that read the same tokens, or of random features of the tokens where the "
    "model cannot be loaded. Shuffled: linear probes of labels shuffled between groups. p: one-"
    "sided, from {permutations} permutations of test labels between groups; corrected "
    "by the largest statistic of every permutation (max-T, Westfall and Young), which all targets, fields and layers "
    "share: of chosen layers over targets, of curves over all layers, fields and targets.",
)


def probes_page(result: LinearProbesResult, demonstration: bool) -> Page:
    """The page; demonstration: the data are the embedded model's."""
    supported = [target.target for target in result.targets if target.verdict.word == SUPPORTED]
    lead = f"Supported: {', '.join(supported)}." if supported else "No target is supported by all that was compared."
    split = result.split
    return Page(
        title="Linear probes: what do the states tell of these labels?",
        question="Which layer and position tell each label, and is it more than surface, output and architecture tell?",
        done=f"One linear probe per target and layer, of {split.rows} rows in {split.groups} groups "
        f"({split.test_rows} rows of {split.test_groups} groups held out), split by {split.by}.",
        outcome=[lead, *in_words([claim.verdict.sentence for claim in result.claims])],
        certainty=f"Intervals are {result.interval_level:.0%} over held-out groups; field, layer and penalty were "
        f"chosen without them; p-values are corrected over {len(result.targets)} targets.",
        sections=[*_sections(result)],
        methods=[
            text.format(
                by=split.by,
                groups=split.groups,
                largest=split.largest_group,
                folds=result.folds,
                level=result.interval_level,
                permutations=result.permutations,
            )
            for text in _METHODS
        ],
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _sections(result: LinearProbesResult) -> Iterator[Section]:
    targets = result.targets
    untested = [(target,) for target in result.untested]
    tables = [Table.of("untested", "Targets that could not be tested", _UNTESTED, untested)] if untested else []
    evidence = {t.target: (t.verdict, evidence_of(t, result.split, result.alpha)) for t in targets}
    yield Section("Verdicts", [verdicts_matrix(evidence), *tables] if targets else tables)
    if targets:
        yield from _tested(targets)
    yield Section("Rows and split", [*_rows(result)])


def _tested(targets: list[TargetResult]) -> Iterator[Section]:
    yield Section("Scores and controls", [Table.of("scores", "", _SCORES, [(t,) for t in targets], most=40)])
    yield Section("Layer by layer", [_curves(targets)])
    yield Section("More scores", [*_more(targets)], quiet=True)
    if any(target.controls for target in targets):
        labelled = [(t.target, name, control) for t in targets for name, control in t.controls.items()]
        yield Section("Controls", [Table.of("controls", "", _CONTROLS, labelled, most=40)], quiet=True)
    if any(target.transfer for target in targets):
        yield Section("Other runs", [*_transfer(targets)])


def _curves(targets: list[TargetResult]) -> Curves:
    caption = (
        "Held-out score of every layer with its interval, a panel per target, a line per field; dotted: the "
        "random-weights twin; grey: the middle 95 % of permuted labels; dashed: chance and the surface alone."
    )
    return Curves("layers", caption, "layer", [_panel(target) for target in targets])


def _panel(target: TargetResult) -> Panel:
    series = [
        Series(curve.field, [layer.layer for layer in curve.layers], [layer.score for layer in curve.layers])
        for curve in target.curves
    ]
    chosen = next(curve for curve in target.curves if curve.field == target.field)
    names = [layer.layer for layer in chosen.layers]
    series.append(Series("permuted", names, [Range(x.null_low, x.null_high) for x in chosen.layers], "control"))
    if target.twin is not None:
        series.append(Series("random twin", names, [score.value for score in target.twin.by_layer], "control"))
    for other in target.transfer:
        if other.by_layer:
            series.append(Series(f"on {other.run}", [*other.by_layer], [*other.by_layer.values()]))
    levels = [Level("chance", target.chance)]
    if "surface" in target.controls:
        levels.append(Level("surface", target.controls["surface"].score.value, "control"))
    bounds = (_FLOOR if target.score_name == "r2" else 0.0, _TOP)
    return Panel(target.target, series, NAMES[target.score_name], levels, bounds)


def _more(targets: list[TargetResult]) -> Iterator[Block]:
    numbers = [(t.target, t.numbers) for t in targets if t.numbers is not None]
    classes = [(t.target, t.majority, t.probabilities) for t in targets if t.probabilities is not None]
    if numbers:
        yield Table.of("number_scores", "Numbers", _NUMBERS, numbers)
    if classes:
        yield Table.of("class_scores", "Classes", _CLASSES, classes)


def _transfer(targets: list[TargetResult]) -> Iterator[Block]:
    runs = [*dict.fromkeys(other.run for target in targets for other in target.transfer)]
    cells = [[_transferred(target, run) for run in runs] for target in targets]
    yield Matrix("transfer", "", [target.target for target in targets], runs, cells)
    yield Table.of("transfer_rows", "", _TRANSFER, [(t.target, other) for t in targets for other in t.transfer])


def _transferred(target: TargetResult, run: str) -> Verdict | None:
    other = next((other for other in target.transfer if other.run == run), None)
    if other is None or other.score is None:
        return None
    side = other.score.side_of(target.chance)
    word = "above chance" if side > 0 else "below chance" if side < 0 else "not told from chance"
    return Verdict(word, "for" if side > 0 else "open", other.score)


def _rows(result: LinearProbesResult) -> Iterator[Block]:
    if result.targets:
        yield Table.of("targets", "", _ROWS, [(target,) for target in result.targets])
    yield from (Note(line) for line in split_notes(result.split))
    yield from (Note(f"{target.target}: {'; '.join(target.notes)}.") for target in result.targets if target.notes)
    yield from (Statement(f"There is no {line}") for line in result.without)


def split_notes(split: SplitSummary) -> list[str]:
    """What to know of the split, in sentences."""
    joined = split.copies + split.near_copies + split.templates
    lines = [
        f"Split by {split.by}: {split.groups} groups, the largest of {split.largest_group} rows. {joined} texts were "
        f"put together with others ({split.copies} exact copies, {split.near_copies} near copies, {split.templates} by "
        f"template). Split row by row, {split.twins_by_row} test rows would have had a text like theirs in training; "
        f"now {split.neighbours} of {split.test_rows} have."
    ]
    return [*lines, *split.notes]


def _alone(target: TargetResult, name: str) -> Cell:
    control = target.controls.get(name)
    return None if control is None else control.score


def _gain(target: TargetResult, name: str) -> Estimate | None:
    control: ControlScore | None = target.controls.get(name)
    return None if control is None else control.gain


def _shuffles(target: TargetResult) -> Range | None:
    scores = [score for score in target.shuffled.scores if score == score]
    return Range(min(scores), max(scores), sum(scores) / len(scores)) if scores else None
