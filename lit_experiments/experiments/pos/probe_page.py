"""The page of the part-of-speech probes, as blocks."""

from __future__ import annotations

from collections.abc import Sequence

from lit_experiments.claims import Judged
from lit_experiments.claims.claim import SURFACE
from lit_experiments.experiments.pos.probe_result import ProbeResult
from lit_experiments.probes.class_result import ClassScores
from lit_experiments.reports import blocks
from lit_experiments.reports.blocks import Column, Note, Section, Series, Statement, Table, Verdict
from lit_experiments.reports.cells import interval, number
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.reports.findings import held_against, power_of
from lit_experiments.reports.reliability import reliability_points
from lit_experiments.statistics import Estimate

_LAYERS = (
    Column("layer", of="layer"),
    Column("accuracy", "estimate", of="test_accuracy"),
    Column(
        "minus type's tag", "estimate", 3, "accuracy minus that of the type's commonest training tag", "above_baseline"
    ),
    Column("control", "estimate", 3, "accuracy on a random tag per type", "control_accuracy"),
    Column("selectivity", "estimate", 3, "accuracy minus control", "selectivity"),
    Column("log-loss", "estimate", 3, "nats", "test_log_loss"),
    Column(
        "CV log-loss", "number", 3, "cross-validated in the training part; chooses penalty and layer", "cv_log_loss"
    ),
    Column("penalty", "number", None, of="penalty"),
)
_TAGS = (
    Column("tag", of="name"),
    Column("words", "count", of="rows"),
    Column("precision", "estimate", of="precision"),
    Column("recall", "estimate", of="recall"),
    Column("F1", "estimate", of="f1"),
)
_CLAIMS = (
    Column("target", of="claim.target"),
    Column("verdict", of="verdict.word"),
    Column("layer", of="claim.layer"),
    Column("accuracy", "estimate", of="evidence.score"),
    Column("chance", "number", 3, "share of the commonest training tag", "evidence.chance"),
    Column("p", "p", meaning="tags permuted between groups", of="evidence.p"),
    Column(
        "surface", "estimate", 3, "the best model of what a word looks like, alone", lambda c: _of_surface(c, "score")
    ),
    Column("beyond surface", "estimate", 3, "what a ridge on the states adds to it", lambda c: _of_surface(c, "gain")),
    Column("best twin", "estimate", 3, "ridge on a random twin's states", lambda c: _of_twins(c, "best")),
    Column("beyond twin", "estimate", 3, "ridge on the model's minus that", lambda c: _of_twins(c, "difference")),
    Column("without copies", "estimate", 3, "words of sentences with nothing like in training", "evidence.apart"),
)
_CLAIM = (
    "The claim is that this layer's states tell the tag: beyond the surface (the word with its neighbours, its place, "
    "and how often training gives these words each tag; linear models and trees), beyond random twins of the model "
    "that read the same tokens, and for words of sentences that training has nothing like."
)
_READ = (
    "Accuracy, log-loss (nats) and everything compared with them: test part, {level:.0%} intervals over "
    "{test_unit}. Minus type's tag: accuracy minus that of the commonest training tag of the word's type ({baseline}; "
    "{unseen:.1%} of the test words are of types that training lacks, which get its commonest tag). Control: accuracy "
    "on a random tag per type (Hewitt and Liang 2019), fitted in the same way. Selectivity: accuracy minus control. "
    "Penalty and layer are chosen by cross-validated log-loss over {folds} folds of training {train_unit}."
)
_METHODS = (
    "One multinomial logistic regression with an L2 penalty per layer, on the residual stream at the {position} token "
    "of every word; excluded tags: {excluded}. {split} Penalty and layer are chosen inside the training part by "
    "log-loss, cross-validated over {folds} folds of {train_unit}. The control task gives every word type one random "
    "tag, drawn from the training part's shares; it can be learnt by heart alone. Shuffled: the tags permuted between "
    "{train_unit}, fitted in the same way. Intervals: {level:.0%}, over {test_unit} of the test "
    "part. Calibration error: root mean square over words of how far the probability of the most probable tag is "
    "from the share that is right in its bin, estimated without the bias of small bins."
)


def probe_page(result: ProbeResult, demonstration: bool) -> blocks.Page:
    """The page; demonstration: the data are the embedded model's."""
    part = "test" if result.validation is None else "validation"
    scores = result.test if result.validation is None else result.validation
    layer = result.layer
    values = {
        "level": result.interval_level,
        "baseline": interval(result.baseline.accuracy),
        "unseen": result.baseline.unseen,
        "folds": result.folds,
        "test_unit": result.units["test"],
        "train_unit": result.units["train"],
        "position": result.position,
        "excluded": ", ".join(result.excluded_tags) or "none",
        "split": result.split[0],
    }
    layers = Table.of("layers", "", _LAYERS, ((scores,) for scores in result.layers))
    tags = Table.of("tags", "", _TAGS, ((tag,) for tag in result.test.classes))
    return blocks.Page(
        title="Part of speech: what each layer's states tell",
        question="At which layers do a word's hidden states say more about its part of speech than the word's form "
        "alone, and can the probe's probabilities be trusted?",
        done=_done(result),
        outcome=[*(claim.verdict.sentence for claim in result.claims), *_outcome(result)],
        certainty=_certainty(result),
        sections=[
            Section("Verdict", [Table.of("claims", "", _CLAIMS, ((claim,) for claim in result.claims)), Note(_CLAIM)]),
            Section("Layers", [_verdicts(result), _over_layers(result), layers, Note(_READ.format(**values))]),
            Section(
                f"Calibration of {layer} ({part} part)",
                [Statement(_calibration(result, scores, part)), _reliability(scores, layer, part)],
            ),
            Section(f"Tags ({layer}, test part)", [tags, _confusion(result)]),
            Section("What was fitted, and what was left out", [Statement(line) for line in _fitted(result)]),
        ],
        methods=[_METHODS.format(**values)],
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _done(result: ProbeResult) -> str:
    words, groups = result.words, result.groups
    sizes = ", ".join(f"{part} {words[part]:,} words of {groups[part]}" for part in words if words[part])
    return (
        f"{result.split[0]} A logistic probe was trained at each of {len(result.layers)} layers: {sizes}. It is "
        "compared with the commonest tag of the word's type, and with a control task of random tags."
    )


def _outcome(result: ProbeResult) -> list[str]:
    chosen, above = result.chosen, result.chosen.above_baseline
    beats = {1: "is above", -1: "is below", 0: "is not seen to differ from"}[above.side_of(0)]
    if not above.has_interval:
        beats = f"cannot be compared ({above.no_interval}) with"
    shuffled = ", ".join(number(value) for value in result.shuffled.accuracy) or "not run"
    return [
        f"Layer {result.layer} ({'named' if result.layer_named else 'chosen by cross-validation'}): accuracy "
        f"{interval(result.test.accuracy)}, macro F1 {interval(result.test.macro_f1)}; it {beats} the commonest tag of "
        f"the type ({interval(result.baseline.accuracy)}), by {interval(above)}{_power(above)}.",
        f"Selectivity {interval(chosen.selectivity)}; accuracy of the commonest tag of all "
        f"{number(result.majority.accuracy.value)}; with tags shuffled between {result.units['train']} {shuffled}.",
    ]


def _power(difference: Estimate) -> str:
    return "" if difference.side_of(0) else power_of(difference)


def _of_surface(judged: Judged, name: str) -> Estimate | None:
    return next((getattr(control, name) for control in judged.evidence.controls if control.name == SURFACE), None)


def _of_twins(judged: Judged, name: str) -> Estimate | None:
    return None if judged.evidence.twins is None else getattr(judged.evidence.twins, name)


def _certainty(result: ProbeResult) -> str:
    sure = f"Intervals are {result.interval_level:.0%}, over {result.groups['test']} of the test part."
    return " ".join([sure, *result.split[1:]])


def _fitted(result: ProbeResult) -> list[str]:
    excluded = ", ".join(result.excluded_tags) or "none"
    lines = [f"Excluded tags: {excluded}; state: {result.position} token of the word."]
    lines.append(f"Documents: {result.documents_from}.")
    if result.unlabelled:
        lines.append(f"{result.unlabelled} words have a tag that the training part lacks, and count nowhere.")
    if result.straddling_documents:
        straddling = result.straddling_documents
        examples = ", ".join(straddling[:3])
        lines.append(f"Careful: {len(straddling)} documents have sentences in several parts, such as {examples}.")
    if result.unconverged:
        lines.append(f"{result.unconverged} fits ended before they reached the tolerance (max_iterations).")
    lines += result.statements
    if result.cv_left_out:
        lines.append(f"{result.cv_left_out} held-out words counted in no score, since the other folds lack their tag.")
    return lines


def _verdicts(result: ProbeResult) -> blocks.Matrix:
    """Every layer next to the type's commonest tag, and to the control task."""
    return blocks.Matrix(
        "verdicts",
        "Does a layer's state tell more than the word's form? Differences in test accuracy",
        [layer.layer for layer in result.layers],
        ["minus the type's commonest tag", "minus the control task"],
        [[_verdict(layer.above_baseline), _verdict(layer.selectivity)] for layer in result.layers],
        value="difference in accuracy",
        digits=3,
    )


def _verdict(difference: Estimate) -> Verdict:
    return held_against(difference, 0, ("above", "for"), ("below", "against"), "no difference shown")


def _over_layers(result: ProbeResult) -> blocks.Curves:
    names = [layer.layer for layer in result.layers]
    lines = [
        Series("probe", names, [layer.test_accuracy for layer in result.layers]),
        Series("control task", names, [layer.control_accuracy for layer in result.layers], "control"),
    ]
    levels = [blocks.Level("type's commonest tag", result.baseline.accuracy)]
    panel = blocks.Panel("", lines, "accuracy, test part", levels, (0, 1))
    caption = (
        "Test accuracy of the probe and of the control task by layer, and of the commonest tag of the word's type."
    )
    return blocks.Curves("accuracy_by_layer", caption, "layer", [panel])


def _calibration(result: ProbeResult, scores: ClassScores, part: str) -> str:
    return (
        f"Calibration, {part} part: calibration error {interval(scores.calibration_error)}, accuracy "
        f"{interval(scores.accuracy)}, log-loss {interval(scores.log_loss)} nats, {scores.rows:,} words of "
        f"{result.groups[part]}."
    )


def _reliability(scores: ClassScores, layer: str, part: str) -> blocks.Scatter:
    caption = (
        f"Share of words whose most probable tag is right, against its probability, {part} part, layer {layer}; the "
        "area of a dot is its share of the words. Dashed: where both are equal."
    )
    name = "probability of the most probable tag"
    return blocks.Scatter(
        "reliability", caption, name, "share right", [reliability_points(scores.reliability)], identity=True
    )


def _confusion(result: ProbeResult) -> blocks.Heatmap:
    return blocks.Heatmap(
        "confusion",
        "Test words by their tag and the probe's, in percent of the words with the treebank's tag.",
        x="the probe's tag",
        y="the treebank's tag",
        value="% of the tag's words",
        columns=result.classes,
        rows=result.classes,
        panels={"": [_percent(counts) for counts in result.test.confusion]},
        shown=True,
    )


def _percent(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [round(100 * count / total) if total else float("nan") for count in counts]
