"""Analysing study 2: planted effects come out, every statistic is scipy's on the same numbers, odd rows are counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.prefill_dynamics.generations import texts_digest
from lit_experiments.experiments.prefill_dynamics.verdicts import (
    ROUGHER,
    SAME,
    SMOOTHER,
    SMOOTHER_AGAINST,
    SMOOTHER_CORRELATED,
    SMOOTHER_UNRELATED,
    UNKNOWN,
    UNSEEN,
    verdict,
)
from lit_experiments.reports.cells import model_name
from lit_experiments.statistics import Estimate
from stores import open_store
from tests.experiments.prefill_dynamics.planted import HIDDEN, LAYERS, Text, walk, write_store

PARAGRAPHS = 24


def analyze(run: Path, **options: Any) -> int:
    words = [f"--{key}={value}" for key, value in options.items()]
    return main(["analyze", "--exp", "prefill_dynamics", "--run", str(run), "--bootstraps=300", *words])


def results(run: Path) -> dict[str, dict[str, Any]]:
    names = ("perplexity", "activation_metrics", "correlation")
    return {name: json.loads((run / "prefill_dynamics" / f"{name}.json").read_text()) for name in names}


def contrast_of(metrics: dict[str, Any], a: str, b: str, cut: bool = True, sinks: bool = True) -> dict[str, Any]:
    """One pair in one variant."""
    return next(
        c for c in metrics["contrasts"] if (c["a"], c["b"]) == (a, b) and c["variant"] == {"cut": cut, "sinks": sinks}
    )


def texts(model_step: float, level: float = 0.0) -> dict[str, list[Text]]:
    """Human text with steps of about 10 and more the more it surprises; the model's with its own, and less surprise."""
    out: dict[str, list[Text]] = {"human": [], "model": [], "model-temp07": [], "shuffled": []}
    rng = np.random.default_rng(7)
    for i in range(PARAGRAPHS):
        gap = rng.uniform(0.5, 2)
        sizes = {"human": 10 + 3 * gap, "model": model_step, "model-temp07": 9.0, "shuffled": 12.0}
        surprise = {"human": 1 + gap, "model": 1.0, "model-temp07": 1.5, "shuffled": 8.0}
        for at, name in enumerate(out):
            tokens = 40 + 3 * at + i % 5
            ce = surprise[name] + 0.05 * rng.normal(size=tokens)
            out[name].append(Text(walk(tokens, sizes[name], 100 * i + at, level), ce))
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted") / "run"
    write_store(folder, texts(model_step=8.0))
    assert analyze(folder) == EXIT_DONE
    return folder


def smoothness(text: Text, upto: int | None = None) -> np.ndarray:
    """[layer] by definition, from what float16 keeps."""
    path = text.states[:, :upto].astype(np.float16).astype(np.float64)
    return np.linalg.norm(np.diff(path, axis=1), axis=-1).mean(1)


def test_every_statistic_is_scipy_s_on_the_same_numbers(run: Path) -> None:
    planted, metrics = texts(8.0), results(run)["activation_metrics"]
    for a, b in (("human", "model"), ("human", "model-temp07"), ("model", "model-temp07"), ("human", "shuffled")):
        for cut in (True, False):
            pair = contrast_of(metrics, a, b, cut)
            both = list(zip(planted[a], planted[b], strict=True))
            upto = [min(x.tokens, y.tokens) if cut else None for x, y in both]
            one, other = (
                np.array([smoothness(t[side], n) for t, n in zip(both, upto, strict=True)]) for side in (0, 1)
            )
            _same_tests(pair["over_layers"]["smoothness"], one.mean(1), other.mean(1))
            for layer in range(LAYERS):
                _same_tests(pair["layers"]["smoothness"][layer], one[:, layer], other[:, layer])
            raw = [test["p"] for test in pair["layers"]["smoothness"]]
            assert pair["p_holm"]["smoothness"] == pytest.approx(multipletests(raw, method="holm")[1])
            means = [[t[side].ce[:n].mean() for t, n in zip(both, upto, strict=True)] for side in (0, 1)]
            assert pair["ce"]["t"] == pytest.approx(stats.ttest_rel(*means).statistic, rel=1e-4)


def _same_tests(paired: dict[str, Any], a: np.ndarray, b: np.ndarray) -> None:
    theirs, rank = stats.ttest_rel(a, b), stats.wilcoxon(a, b)
    assert paired["t"] == pytest.approx(theirs.statistic, rel=1e-4)
    assert paired["p"] == pytest.approx(theirs.pvalue, rel=1e-3)
    assert (paired["w"], paired["p_w"]) == pytest.approx((rank.statistic, rank.pvalue), rel=1e-6)
    assert paired["d"]["value"] == pytest.approx((a - b).mean() / (a - b).std(ddof=1), rel=1e-4)
    assert paired["difference"]["low"] < (a - b).mean() < paired["difference"]["high"]


def test_correlations_are_scipy_s_at_every_level(run: Path) -> None:
    planted, correlations = texts(8.0), results(run)["correlation"]["texts"]["smoothness"]
    ce = {name: np.array([t.ce.mean() for t in of_condition]) for name, of_condition in planted.items()}
    moved = {name: np.array([smoothness(t).mean() for t in of_condition]) for name, of_condition in planted.items()}
    for name in planted:
        _same_correlation(correlations["within"][name], ce[name], moved[name], p=True)
    pooled = ["human", "model"]
    _same_correlation(
        correlations["pooled"]["human + model"],
        *(np.concatenate([part[n] for n in pooled]) for part in (ce, moved)),
        p=False,
    )
    cut = [min(x.tokens, y.tokens) for x, y in zip(planted["human"], planted["model"], strict=True)]
    gaps = [
        [of(h, n) - of(m, n) for h, m, n in zip(planted["human"], planted["model"], cut, strict=True)]
        for of in (lambda t, n: t.ce[:n].mean(), lambda t, n: smoothness(t, n).mean())
    ]
    _same_correlation(correlations["differences"]["human - model"], *map(np.array, gaps), p=True)


def _same_correlation(correlation: dict[str, Any], x: np.ndarray, y: np.ndarray, p: bool) -> None:
    linear, ranked = stats.pearsonr(x, y), stats.spearmanr(x, y)
    assert correlation["pearson"]["value"] == pytest.approx(linear.statistic, abs=1e-4)
    assert correlation["spearman"]["value"] == pytest.approx(ranked.statistic, abs=1e-6)
    assert correlation["rows"] == len(x)
    if p:
        assert correlation["p_pearson"] == pytest.approx(linear.pvalue, rel=1e-2)
        assert correlation["p_spearman"] == pytest.approx(ranked.pvalue, rel=1e-6)
    else:
        assert correlation["p_pearson"] is None
        assert correlation["pearson"]["n"] < correlation["rows"]


def test_the_planted_effect_is_told_in_words_that_agree_with_the_numbers(run: Path) -> None:
    outcome = results(run)["activation_metrics"]["interpretation"]
    assert outcome["verdict"] == SMOOTHER_CORRELATED
    sentences = " ".join(outcome["sentences"])
    assert "moves the residual stream of planted more smoothly" in sentences
    assert "The model's text is less surprising" in sentences
    assert "Surprise and movement go together" in sentences
    page = (run / "prefill_dynamics" / "report.html").read_text()
    assert "more smoothly" in page
    assert page.count('<div class="chart"') == 4
    assert "demonstration subject" not in page


@pytest.mark.parametrize(
    ("step", "margin", "case", "words"),
    [
        (60.0, 0.02, ROUGHER, "more roughly"),
        (13.75, 0.02, UNSEEN, "is not seen to move the residual stream of planted more smoothly or more roughly (a"),
        (13.75, 0.5, SAME, "as smoothly (within 50.0%) as"),
    ],
)
def test_other_effects_choose_other_words(step: float, margin: float, case: str, words: str, tmp_path: Path) -> None:
    """Nothing is "no difference" without an equivalence test; what is not seen comes with what would have been."""
    write_store(tmp_path / "run", texts(model_step=step))
    assert analyze(tmp_path / "run", margin=margin) == EXIT_DONE
    outcome = results(tmp_path / "run")["activation_metrics"]["interpretation"]
    assert outcome["verdict"] == case
    assert words in outcome["sentences"][0]
    assert ("% would have been seen with 80 % power" in outcome["sentences"][0]) == (case == UNSEEN)


def test_layers_that_disagree_are_named(tmp_path: Path) -> None:
    """Smoother at the first layer, rougher at the second, and about the same on average."""
    made = texts(model_step=13.75)
    for text in made["model"]:
        text.states[0] *= 0.5
        text.states[1] *= 1.5
    write_store(tmp_path / "run", made)
    assert analyze(tmp_path / "run") == EXIT_DONE
    sentences = results(tmp_path / "run")["activation_metrics"]["interpretation"]["sentences"]
    assert "of 2 layers: smoother at 1 (resid_post.0); rougher at 1 (resid_post.1)" in sentences[1]


@pytest.mark.parametrize(
    ("difference", "correlated", "case"),
    [
        ((1, 2), (0.1, 0.5), SMOOTHER_CORRELATED),
        ((1, 2), (-0.1, 0.5), SMOOTHER),
        ((1, 2), (-0.1, 0.1), SMOOTHER_UNRELATED),
        ((1, 2), (-0.5, -0.1), SMOOTHER_AGAINST),
        ((-1, 2), (0.1, 0.5), UNSEEN),
        ((-0.1, 0.2), (0.1, 0.5), SAME),
        ((-2, -1), (0.1, 0.5), ROUGHER),
        ((float("nan"), float("nan")), (0.1, 0.5), UNKNOWN),
        ((1, 2), (float("nan"), float("nan")), SMOOTHER),
    ],
)
def test_the_case_follows_the_intervals(
    difference: tuple[float, float], correlated: tuple[float, float], case: str
) -> None:
    """Of a human value of 10, with a margin of 5 %."""
    moved, r = (Estimate(sum(bounds) / 2, *bounds, 20, 0.95) for bounds in (difference, correlated))
    assert verdict(moved, moved.mapped(lambda value: value / 10), r, 0.05) == case


def test_perplexity_is_the_exponential_of_mean_cross_entropy(run: Path) -> None:
    planted, perplexity = texts(8.0), results(run)["perplexity"]
    for name, of_condition in planted.items():
        mean = np.mean([t.ce.mean() for t in of_condition])
        whole = np.mean([np.append([1.0, 1.0], t.ce).mean() for t in of_condition])
        level = perplexity["conditions"][name]
        assert level["ce_continuation"]["value"] == pytest.approx(mean, rel=1e-5)
        assert level["perplexity_continuation"]["value"] == pytest.approx(np.exp(mean), rel=1e-5)
        assert level["ce_text"]["value"] == pytest.approx(whole, rel=1e-5)
    first = perplexity["rows"][0]
    assert first["sample_id"] == "p0/human"
    assert first["perplexity_text"] == pytest.approx(np.exp(first["ce_text"]))


def test_tokens_that_move_more_the_more_they_surprise(tmp_path: Path) -> None:
    """Planted: a step as long as its token is surprising, in texts of very different levels of surprise."""
    rng = np.random.default_rng(0)

    def text(level: float) -> Text:
        ce = level + rng.exponential(1, 30)
        steps = rng.normal(size=(LAYERS, 30, HIDDEN))
        steps *= (ce - level)[None, :, None] / np.linalg.norm(steps, axis=-1, keepdims=True)
        return Text(np.cumsum(steps, 1), ce)

    made = [text(level) for level in np.linspace(0, 40, 12)]
    write_store(tmp_path / "run", {"human": made, "model": [text(0) for _ in range(12)]})
    assert analyze(tmp_path / "run") == EXIT_DONE
    content = results(tmp_path / "run")
    tokens = content["correlation"]["tokens"]["human"]
    assert tokens["centred"]["pearson"]["value"] > 0.95
    assert abs(tokens["pooled"]["pearson"]["value"]) < 0.3
    assert tokens["pooled"]["pearson"]["n"] == 12
    assert tokens["pooled"]["rows"] == 12 * 29
    assert min(layer["low"] for layer in tokens["layers"]) > 0.9
    moving = content["activation_metrics"]["moving_tokens"]["human"]["by size"]
    steps = sorted((t.ce[1:] - level).max() for t, level in zip(made, np.linspace(0, 40, 12), strict=True))
    assert moving[0]["delta"] == pytest.approx(steps[-1], rel=1e-2)
    assert [m["delta"] for m in moving] == sorted((m["delta"] for m in moving), reverse=True)
    owner = made[int(moving[0]["sample_id"][1:].split("/")[0])]
    assert moving[0]["ce"] == pytest.approx(owner.ce[moving[0]["token"]], rel=1e-5)
    assert moving[0]["text"] == f" t{3 + moving[0]['token']}"


def test_sink_tokens_are_flagged_and_results_given_with_and_without(tmp_path: Path) -> None:
    made = {
        name: [Text(walk(30, 4.0, 10 * i + at, 3.0), np.ones(30)) for i in range(8)]
        for at, name in enumerate(["human", "model"])
    }
    for text in made["model"]:
        text.states[:, 11] = 2000.0
    write_store(tmp_path / "run", made)
    assert analyze(tmp_path / "run") == EXIT_DONE
    metrics = results(tmp_path / "run")["activation_metrics"]
    assert metrics["conditions"]["model"]["sink_tokens"] == 8
    assert metrics["conditions"]["human"]["sink_tokens"] == 0
    assert metrics["rows"][1]["sink_tokens"] == [1, 1]
    with_sinks, without = (
        contrast_of(metrics, "human", "model", sinks=sinks)["over_layers"]["smoothness"]["mean_b"]
        for sinks in (True, False)
    )
    assert with_sinks > 100
    assert without == pytest.approx(4.0, rel=0.1)
    assert metrics["moving_tokens"]["model"]["by ratio"][0]["sink"]


def test_rows_with_fewer_than_two_tokens_are_left_out_and_counted(tmp_path: Path) -> None:
    made = texts(8.0)
    for i, tokens in ((2, 0), (5, 1)):
        whole = made["model"][i]
        made["model"][i] = Text(whole.states[:, :tokens], whole.ce[:tokens])
    write_store(tmp_path / "run", made)
    assert analyze(tmp_path / "run") == EXIT_DONE
    metrics = results(tmp_path / "run")["activation_metrics"]
    assert metrics["excluded"] == ["p2/model", "p5/model"]
    assert contrast_of(metrics, "human", "model")["over_layers"]["smoothness"]["n"] == PARAGRAPHS - 2
    assert contrast_of(metrics, "human", "shuffled")["over_layers"]["smoothness"]["n"] == PARAGRAPHS
    page = (tmp_path / "run" / "prefill_dynamics" / "RESULTS.md").read_text()
    assert "in no statistic: 2: p2/model, p5/model" in page
    assert "2 shorter than min_tokens" in page


@pytest.mark.parametrize("kept", [["human", "shuffled"], ["human"], ["human", "model"]])
def test_stores_without_some_conditions_say_so(kept: list[str], tmp_path: Path) -> None:
    write_store(tmp_path / "run", {name: of_condition for name, of_condition in texts(8.0).items() if name in kept})
    assert analyze(tmp_path / "run") == EXIT_DONE
    metrics = results(tmp_path / "run")["activation_metrics"]
    if "model" not in kept:
        assert metrics["interpretation"]["verdict"] is None
        assert "does not hold both human and model text" in metrics["interpretation"]["sentences"][0]


def test_two_paragraphs_or_one_give_no_interval_out_of_nothing(tmp_path: Path) -> None:
    for number in (1, 2):
        run = tmp_path / f"run{number}"
        write_store(run, {name: of_condition[:number] for name, of_condition in texts(8.0).items()})
        assert analyze(run) == EXIT_DONE
        pair = contrast_of(results(run)["activation_metrics"], "human", "model")["over_layers"]["smoothness"]
        assert pair["n"] == number
        assert (pair["t"] is None) == (number == 1)
        assert results(run)["correlation"]["texts"]["smoothness"]["within"]["human"]["pearson"]["value"] is None


def test_readers_of_the_same_texts_are_found_and_compared(run: Path, tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    write_store(mine, texts(8.0))
    digest = texts_digest(open_store(mine / "store"))
    shifted = {
        name: [Text(1.5 * t.states, t.ce + 0.25) for t in of_condition] for name, of_condition in texts(8.0).items()
    }
    write_store(other, shifted, reader="second", generations=digest)
    write_store(tmp_path / "stranger", texts(9.0), reader="stranger", generations="other texts")
    assert analyze(mine) == EXIT_DONE
    readers = results(mine)["activation_metrics"]["readers"]
    assert [reader["reader"] for reader in readers] == ["planted", "second"]
    gap = readers[1]["first_minus_this"]["human"]
    assert gap["ce"]["difference"]["value"] == pytest.approx(-0.25, abs=1e-5)
    assert gap["over_layers"]["smoothness"]["relative"]["value"] == pytest.approx(-0.5, abs=1e-3)
    assert gap["over_layers"]["relative smoothness"]["difference"]["value"] == pytest.approx(0, abs=1e-3)
    assert readers[1]["human_minus_model"]["over_layers"]["smoothness"]["n"] == PARAGRAPHS
    assert "second" in (mine / "prefill_dynamics" / "RESULTS.md").read_text()
    assert analyze(mine, readers="[]") == EXIT_DONE
    assert results(mine)["activation_metrics"]["readers"] == []


def test_models_in_folders_are_named_by_the_folder() -> None:
    assert model_name("/a/path/to/model+/an/adapter") == "model+adapter"
    assert model_name("google/gemma-2-2b") == "google/gemma-2-2b"


def test_a_named_reader_of_other_texts_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_store(tmp_path / "stranger", texts(9.0), reader="stranger", generations="other texts")
    assert analyze(run, readers=f"[{tmp_path / 'stranger'}]") == EXIT_USER
    assert "it did not read the texts of" in capsys.readouterr().err


def test_results_are_kept_until_something_changes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert analyze(run) == EXIT_DONE
    assert "is up to date" in capsys.readouterr().out
    assert analyze(run, cut="false") == EXIT_DONE
    assert "is up to date" not in capsys.readouterr().out
    assert results(run)["perplexity"]["main_variant"] == "full length"
    assert analyze(run) == EXIT_DONE


@pytest.mark.parametrize(("option", "value"), [("sink_factor", 0.5), ("top_tokens", 0), ("block_mb", 0)])
def test_settings_that_cannot_be_are_refused(
    option: str, value: float, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert analyze(run, **{option: value}) == EXIT_USER
    assert f"{option} must be at least" in capsys.readouterr().err


def test_small_blocks_give_the_same_numbers(run: Path, tmp_path: Path) -> None:
    write_store(tmp_path / "run", texts(8.0))
    assert analyze(tmp_path / "run", block_mb=0.005) == EXIT_DONE
    assert results(tmp_path / "run")["activation_metrics"]["rows"] == results(run)["activation_metrics"]["rows"]
