"""Table, figures and pages of the ridge on log-tempnorm."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.experiments.tempnorm.single_numbers import EXACT
from lit_experiments.probes.evaluate import Predictions
from lit_experiments.reports.figures import BLUE, GREEN, GREY, ORANGE, figure, shared_legend
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, number, text_table
from lit_experiments.statistics import Estimate
from stores import Store

_HEADERS = ["L", "test R2", "ceiling", "R2/ceiling", "Spearman", "length", "entropy", "one step", "fixed", "of mean"]
_AGAINST = ["L", "exact expectation", "less length", "less entropy", "less one step", "less exact", "beyond entropy"]
_LOWEST_R2 = -1.0  # where the figure ends: intervals from few contexts may reach thousands below, the table has them
_BASELINES = ("prefix_length", "next_token_entropy", "log_one_step")


def write_report(out: Path, metrics: dict[str, Any], predictions: Predictions, store: Store) -> str:
    """Writes figures, RESULTS.md and report.html into `out`.

    Returns:
        The table for the terminal, and where the page is.
    """
    rows = [_row(length, result) for length, result in metrics["per_length"].items()]
    lengths = [int(n) for n in metrics["per_length"]]
    curve = _draw_curve(out / "r2_by_length.png", lengths, metrics)
    scatter = _draw_scatter(out / "predicted_against_true.png", lengths, predictions)
    report = Report("Tempnorm: log-tempnorm from the hidden state at the starting point")
    lines = demonstration(store)
    for line in lines:
        report.text(line)
    report.text(_setting(metrics, store))
    report.heading("Ridge per eval length")
    report.table(_HEADERS, rows)
    report.text(_LEGEND)
    against = [_against_row(length, result) for length, result in metrics["per_length"].items()]
    report.heading("The hidden vector against one number")
    for sentence in metrics["against_single_numbers"]:
        report.text(sentence)
    report.table(_AGAINST, against)
    report.text(_AGAINST_LEGEND)
    report.figure(curve, "Test R2 of the ridge with its interval, the noise ceiling, and the best baseline.")
    report.figure(scatter, "Predicted against true log-tempnorm on held-out starting points, shortest and longest L.")
    report.heading("In tempnorm space")
    report.text("The predicted log of the mean tempnorm, exponentiated (at most 1), against the mean itself.")
    report.table(["L", "R2", "MAE", "MSE"], [_plain_row(n, r) for n, r in metrics["per_length"].items()])
    page = report.write(out)
    lines += [text_table(_HEADERS, rows), "", textwrap.fill(_LEGEND, 100), "", text_table(_AGAINST, against), ""]
    lines += [*(textwrap.fill(line, 100) for line in metrics["against_single_numbers"]), "", f"Report:  {page}"]
    return "\n".join([*lines, f"Figures: {curve}", f"         {scatter}"])


_LEGEND = (
    "Test R2 and ceiling with bootstrap 95 % intervals over contexts. The ceiling is the share of the variance "
    "that lies between starting points: the most that any function of the starting point can explain. Columns length, "
    "entropy and one step: test R2 of regressions on that one number. All starting points of a context are on one side "
    "of every split. Column fixed: the ridge at the fixed penalty. "
    "Column of mean: test R2 for the log of the mean over a starting point's continuations."
)


_AGAINST_LEGEND = (
    "Exact expectation: test R2 of -(alpha - 1) times the next-token entropy, which at L = 1 is the expectation of a "
    "continuation's log-tempnorm, unfitted; nothing can predict better on average. Less: test R2 of the ridge on the "
    "hidden vector less that of the one number, paired on the same resamples; below 0 the one number predicts better. "
    "Beyond entropy: R2 of the entropy and a ridge on the hidden vector for what it leaves, less that of the entropy. "
    "One step: log of sum p^alpha, which at L = 1 is the log of E[tempnorm], not the expectation of its log."
)


def _against_row(length: str, result: dict[str, Any]) -> list[str]:
    gaps = {name: interval(_estimate(gap)) for name, gap in result["hidden_less"].items()}
    exact = "" if result["exact"] is None else interval(_estimate(result["exact"]["r2"]))
    cells = [gaps.get(name, "") for name in (*_BASELINES, EXACT)]
    return [length, exact, *cells, interval(_estimate(result["beyond_entropy"]))]


def _row(length: str, result: dict[str, Any]) -> list[str]:
    of = {name: _estimate(result["baselines"][name]) for name in _BASELINES}
    return [
        length,
        interval(_estimate(result["test"]["r2"])),
        interval(_estimate(result["ceiling"])),
        number(_estimate(result["of_ceiling"]).value),
        number(_estimate(result["test"]["spearman"]).value),
        *(number(of[name].value) for name in _BASELINES),
        number(_estimate(result["fixed_penalty"]["test"]["r2"]).value),
        number(_estimate(result["starting_point_mean"]["test"]["r2"]).value),
    ]


def _plain_row(length: str, result: dict[str, Any]) -> list[str]:
    space = {name: _estimate(result["tempnorm_space"][name]) for name in ("r2", "mae", "mse")}
    return [length, interval(space["r2"]), f"{space['mae'].value:.3g}", f"{space['mse'].value:.3g}"]


def _setting(metrics: dict[str, Any], store: Store) -> str:
    settings = store.fingerprint["settings"]
    return (
        f"{metrics['starting_points']} starting points of {metrics['contexts']} different contexts "
        f"({metrics['held_out_contexts']} held out), {metrics['generations']} continuations each of "
        f"{settings['gen_length']} tokens after {settings['initial_wander']} wandering ones; "
        f"alpha = {settings['alpha']:g}; hidden vector at {', '.join(settings['sites'])}."
    )


def _draw_curve(path: Path, lengths: list[int], metrics: dict[str, Any]) -> Path:
    results = list(metrics["per_length"].values())
    ridge = [_estimate(r["test"]["r2"]) for r in results]
    ceiling = [_estimate(r["ceiling"]) for r in results]
    best = [max(_estimate(r["baselines"][n]).value for n in _BASELINES) for r in results]
    exact = [(n, _estimate(r["exact"]["r2"]).value) for n, r in zip(lengths, results, strict=True) if r["exact"]]
    with figure(path, columns=1) as drawn:
        axes = drawn.add_subplot()
        _band(axes, lengths, ceiling, GREY, "noise ceiling")
        _band(axes, lengths, ridge, BLUE, "ridge on the hidden vector")
        axes.plot(lengths, best, "--", color=ORANGE, label="best single number")
        if exact:
            axes.plot(*zip(*exact, strict=True), "*", color=ORANGE, markersize=10, label="exact expectation")
        axes.axhline(0, color="black", linewidth=0.6)
        axes.set(xlabel="eval length L (tokens)", ylabel="R2 on held-out starting points")
        axes.set_ylim(max(axes.get_ylim()[0], _LOWEST_R2), 1.05)
        shared_legend(drawn, axes, columns=2)
    return path


def _band(axes: Any, x: list[int], values: list[Estimate], color: str, label: str) -> None:
    axes.plot(x, [v.value for v in values], "o-", color=color, label=label, markersize=4)
    axes.fill_between(x, [v.low for v in values], [v.high for v in values], color=color, alpha=0.18, linewidth=0)


def _draw_scatter(path: Path, lengths: list[int], predictions: Predictions) -> Path:
    true, predicted, _ = predictions.part("test")
    with figure(path, columns=2) as drawn:
        for panel, target in enumerate((0, len(lengths) - 1)):
            axes = drawn.add_subplot(1, 2, panel + 1)
            y, p = true[..., target], np.broadcast_to(predicted[:, None, target], true[..., target].shape)
            axes.scatter(p, y, s=6, alpha=0.5, color=BLUE, linewidths=0, label="single continuations")
            axes.scatter(predicted[:, target], np.nanmean(y, 1), s=10, color=GREEN, label="mean over continuations")
            low, high = float(np.nanmin(p)), float(np.nanmax(p))
            axes.plot([low, high], [low, high], color="black", linewidth=0.8, label="predicted = true")
            axes.set(title=f"L = {lengths[target]}", xlabel="predicted log-tempnorm (nats)", ylabel="true (nats)")
            axes.legend(markerscale=2)
    return path


def _estimate(value: dict[str, Any]) -> Estimate:
    return Estimate.from_dict(value)
