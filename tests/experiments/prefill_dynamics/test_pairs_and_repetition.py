"""Any two conditions compared, repetition measured and controlled for, the five JSON files, pages of few paragraphs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.prefill_dynamics.generations import texts_digest
from lit_experiments.statistics.repetition import distinct, loops
from stores import open_store
from tests.experiments.prefill_dynamics.planted import Text, walk, write_store
from tests.intervals import check

PARAGRAPHS = 12


def texts(number: int, looping: bool = False) -> dict[str, list[Text]]:
    """Human text moves by 10, greedy text by 8, sampled text by 9 and 11; greedy text loops in every second paragraph,
    where it moves by 4 only."""
    rng = np.random.default_rng(3)
    out: dict[str, list[Text]] = {"human": [], "model": [], "model-temp07": [], "model-temp1": []}
    steps = {"human": 10.0, "model": 8.0, "model-temp07": 9.0, "model-temp1": 11.0}
    for i in range(number):
        for at, name in enumerate(out):
            stuck = looping and name == "model" and i % 2 == 0
            made = walk(40, 4.0 if stuck else steps[name], 100 * i + at)
            ids = tuple([7, 8, 9] * 13 + [7] if stuck else range(40))
            out[name].append(Text(made, 1 + at + 0.1 * rng.normal(size=40), ids))
    return out


def analyze(run: Path, **options: Any) -> int:
    words = [f"--{key}={value}" for key, value in options.items()]
    return main(["analyze", "--exp", "prefill_dynamics", "--run", str(run), "--bootstraps=200", *words])


def results_of(run: Path, name: str = "activation_metrics") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "prefill_dynamics" / f"{name}.json").read_text())
    return content


@pytest.mark.parametrize(
    ("tokens", "share"),
    [([1, 2, 3, 4], 1.0), ([1, 1, 1, 1], 1 / 3), ([1, 2, 1, 2, 1], 2 / 4), ([5], float("nan")), ([], float("nan"))],
)
def test_distinct_bigrams(tokens: list[int], share: float) -> None:
    assert distinct(tokens, 2) == pytest.approx(share, nan_ok=True)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([0, 1, 2, 1, 2, 1, 2], True),
        ([0, 1, 2, 1, 2], False),  # twice
        ([1, 2, 1, 2, 1, 2, 0], False),  # not at the end
        ([3, 3, 3, 3, 3, 3], True),
        ([3, 3, 3, 3, 3], False),  # one token is no phrase, two of it stand there twice and a half
        ([9, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4], True),
        ([], False),
    ],
)
def test_what_a_loop_is(tokens: list[int], expected: bool) -> None:
    assert loops(tokens) is expected


@pytest.mark.parametrize("number", [1, 2, 4, 5])
def test_pages_of_few_paragraphs_claim_nothing(number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_store(tmp_path / "run", texts(number))
    assert analyze(tmp_path / "run") == EXIT_DONE
    out = tmp_path / "run" / "prefill_dynamics"
    check(out, number)
    page = (out / "RESULTS.md").read_text()
    claim = "moves the residual stream of planted more smoothly"
    assert (claim in page) == (number >= 5)
    assert ("Too little data" in page) == (number < 5)
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "run")]) == EXIT_DONE
    shown = capsys.readouterr().out
    assert (f"{number} group" in shown) == (number < 5)
    assert "nan" not in shown


def test_any_two_conditions_can_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    write_store(run, texts(PARAGRAPHS))
    assert analyze(run, pairs="[[model-temp07, model-temp1], [model, human]]") == EXIT_DONE
    names = [(c["a"], c["b"]) for c in results_of(run)["contrasts"]]
    assert list(dict.fromkeys(names)) == [("model-temp07", "model-temp1"), ("model", "human")]
    sampled = next(c for c in results_of(run)["contrasts"] if c["a"] == "model-temp07")
    assert sampled["over_layers"]["smoothness"]["difference"]["high"] < 0
    page = (run / "prefill_dynamics" / "RESULTS.md").read_text()
    assert "Reading model-temp1 moves the states more roughly than reading model-temp07" in page
    assert "Reading human moves the states more roughly than reading model" in page


def test_readers_can_be_compared_by_name(tmp_path: Path) -> None:
    first = tmp_path / "first"
    write_store(first, texts(PARAGRAPHS))
    digest = texts_digest(open_store(first / "store"))
    louder = {n: [replace(t, states=2 * t.states) for t in ts] for n, ts in texts(PARAGRAPHS).items()}
    write_store(tmp_path / "other", louder, reader="louder", generations=digest)
    assert analyze(first, pairs="[[human, human@other], [model@other, model-temp1]]") == EXIT_DONE
    pair = results_of(first)["contrasts"][0]
    assert (pair["a"], pair["b"]) == ("human", "human@other")
    smooth = pair["over_layers"]["smoothness"]
    assert smooth["mean_b"] == pytest.approx(2 * smooth["mean_a"], rel=1e-3)
    assert len(pair["layers"]["smoothness"]) == 2


@pytest.mark.parametrize(
    ("pairs", "parts"),
    [
        ("[[human, modle]]", ['no "modle"', 'Did you mean "model"?', "human, model, model-temp07, model-temp1"]),
        ("[[human, human@elsewhere]]", ['no "human@elsewhere"']),
        ("[[human]]", ["is no pair of two different conditions"]),
        ("[[human, human]]", ["is no pair of two different conditions"]),
        ("[[human, model], [model, human]]", ["named twice"]),
        ("[]", ["names no pair"]),
    ],
)
def test_pairs_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], pairs: str, parts: list[str]) -> None:
    write_store(tmp_path / "run", texts(2))
    assert analyze(tmp_path / "run", pairs=pairs) == EXIT_USER
    message = capsys.readouterr().err
    assert all(part in message for part in [*parts, "--pairs"])
    assert not (tmp_path / "run" / "prefill_dynamics").exists()


def test_repetition_is_measured_and_controlled_for(tmp_path: Path) -> None:
    """Greedy text that loops moves by 4 and other greedy text by 8, human text by 10: without loops 2 are left."""
    run = tmp_path / "run"
    write_store(run, texts(PARAGRAPHS, looping=True))
    assert analyze(run) == EXIT_DONE
    metrics = results_of(run)
    rows = {row["sample_id"]: row for row in metrics["rows"]}
    assert (rows["p0/model"]["loops"], rows["p1/model"]["loops"], rows["p0/human"]["loops"]) == (True, False, False)
    assert rows["p0/model"]["distinct_2"] == pytest.approx(3 / 39)
    assert rows["p1/model"]["distinct_2"] == 1
    assert metrics["repetition"]["model"]["loops"]["value"] == 0.5
    pair = next(c for c in metrics["contrasts"] if (c["a"], c["b"]) == ("human", "model"))
    smooth, repetition = pair["over_layers"]["smoothness"], pair["repetition"]
    assert (repetition["looping_a"], repetition["looping_b"]) == (0, PARAGRAPHS // 2)
    assert smooth["difference"]["value"] == pytest.approx(4, abs=0.4)
    assert repetition["without_loops"]["n"] == PARAGRAPHS // 2
    assert repetition["without_loops"]["difference"]["value"] == pytest.approx(2, abs=0.4)
    assert repetition["adjusted"]["effect"]["value"] == pytest.approx(2, abs=0.4)
    page = (run / "prefill_dynamics" / "RESULTS.md").read_text()
    assert f"{PARAGRAPHS // 2} of {PARAGRAPHS} model texts end in a loop, 0 human ones" in page


def test_the_five_json_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = tmp_path / "run", tmp_path / "json"
    write_store(run, texts(PARAGRAPHS))
    assert main(["export", str(run), "--format", "json", "--out", str(out)]) == EXIT_DONE
    read = {file.stem: json.loads(file.read_text()) for file in out.iterdir()}
    assert set(read) == {"paragraphs", "continuations", "perplexity", "activation_metrics", "correlation"}
    results = read["perplexity"]["results"]
    assert len(results) == len(read["paragraphs"]["paragraphs"]) == len(read["continuations"]["continuations"]) == 12
    assert all(r["ce_diff"] == pytest.approx(r["human_ce"] - r["model_ce"]) for r in results)
    samples, summary = read["activation_metrics"]["samples"], read["activation_metrics"]["summary"]
    smooth = {side: np.array([np.mean(s[side]["smoothness"]) for s in samples]) for side in ("human", "model")}
    overall = summary["overall"]["smoothness"]
    assert overall["mean_diff"] == pytest.approx((smooth["human"] - smooth["model"]).mean())
    assert overall["p"] == pytest.approx(stats.ttest_rel(smooth["human"], smooth["model"]).pvalue)
    assert [layer["layer"] for layer in summary["by_layer"]] == ["resid_post.0", "resid_post.1"]
    ce = {side: np.array([r[f"{side}_ce"] for r in results]) for side in ("human", "model")}
    pooled = [np.concatenate([values["human"], values["model"]]) for values in (ce, smooth)]
    expected: dict[str, Any] = {
        "pooled": pooled,
        "human_only": (ce["human"], smooth["human"]),
        "model_only": (ce["model"], smooth["model"]),
        "differences": (ce["human"] - ce["model"], smooth["human"] - smooth["model"]),
    }
    for name, (x, y) in expected.items():
        assert read["correlation"][name]["pearson_r"] == pytest.approx(stats.pearsonr(x, y).statistic), name
    assert main(["export", str(run), "--format", "json", "--out", str(out)]) == EXIT_USER
    assert "exists" in capsys.readouterr().err
