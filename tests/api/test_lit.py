"""`import lit_experiments as lit`: the same as the command line, from values in memory."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from datasets import Dataset
from pyarrow import parquet

import lit_experiments as lit
from lit_experiments.api.commands import words_of
from lit_experiments.api.texts import digest_of, table_of
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, UserError

NOUNS = ("river", "stone", "bread", "window", "garden", "letter", "music", "winter", "market", "teacher")
FAST: dict[str, Any] = {
    "bootstraps": 20,
    "permutations": 19,
    "shuffles": 0,
    "folds": 2,
    "twin": False,
    "surface_model": "none",
}
READING: dict[str, Any] = {
    "text_column": "text",
    "label_columns": ["kind", "size"],
    "sites": ["resid_post.0", "resid_post.1"],
}


def records(count: int = 80) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    words = [list(rng.choice(NOUNS, 9)) for _ in range(count)]
    kinds = ["open", "shut"]
    return [
        {"text": " ".join([*line, kinds[i % 2]]), "kind": kinds[i % 2], "size": float(rng.normal())}
        for i, line in enumerate(words)
    ]


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> lit.Probes:
    run = tmp_path_factory.mktemp("lit") / "run"
    store = lit.collect(records(), run=run, **READING)
    assert len(store) == 80
    return lit.fit_probes(store, **FAST)


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, lit_experiments as lit; dir(lit); print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "pandas", "pyarrow", "lightning", "transformers"} & set(loaded)
    with pytest.raises(AttributeError, match="no_such"):
        _ = lit.no_such


def test_texts_in_memory_are_the_same_table_however_they_come() -> None:
    rows = records(5)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    forms = [rows, columns, pd.DataFrame(rows), Dataset.from_list(rows), pa.Table.from_pylist(rows)]
    assert {digest_of(table_of(form)) for form in forms} == {digest_of(table_of(rows))}
    assert table_of(["a", "b"]).to_pydict() == {"text": ["a", "b"]}
    assert digest_of(table_of(rows)) != digest_of(table_of(rows[::-1]))


@pytest.mark.parametrize("texts", [[], 3, [1, 2], pa.table({"text": pa.array([], pa.string())})])
def test_texts_of_another_kind_are_refused(texts: Any) -> None:
    with pytest.raises(UserError, match="texts"):
        lit.collect(texts)


def test_options_become_the_words_of_the_command_line() -> None:
    options = {"run": Path("a b"), "sites": ["x", "y"], "limit": None, "seed": 3, "restart": True, "dry_run": False}
    assert words_of(options) == ["--run=a b", '--sites=["x", "y"]', "--limit=null", "--seed=3", "--restart"]
    with pytest.raises(UserError, match="no_such"):
        lit.collect(["a text"], no_such=1)


def test_the_same_call_finds_what_it_stored_and_another_call_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = lit.collect(["A river.", "A stone."], sites="resid_post.0")
    again = lit.collect(["A river.", "A stone."], sites="resid_post.0")
    other = lit.collect(["A river.", "Bread."], sites="resid_post.0")
    assert first.path == again.path != other.path
    assert first.created == again.created
    assert other.table(["text"]).column(0).to_pylist() == ["A river.", "Bread."]


def test_results_are_those_of_the_command_line(probes: lit.Probes, tmp_path: Path) -> None:
    data = tmp_path / "texts.parquet"
    parquet.write_table(table_of(records()), data)
    words = words_of({"run": tmp_path / "run", "texts": data, **READING})
    assert main(["collect", "--exp", "activations", *words]) == EXIT_DONE
    assert main(["train", "--exp", "linear_probes", *words_of({"run": tmp_path / "run", **FAST})]) == EXIT_DONE
    assert lit.Probes(tmp_path / "run" / "linear_probes").result.targets == probes.result.targets


def test_a_curve_has_a_row_for_each_layer_of_each_target(probes: lit.Probes) -> None:
    curve = probes.curve
    assert list(curve.groupby("target").size()) == [2, 2]
    kind = probes["kind"]
    assert kind.layer in set(curve.layer)
    chosen = curve[(curve.target == "kind") & (curve.layer == kind.layer)]
    assert chosen.score.item() == pytest.approx(kind.result.score.value)
    assert probes.targets == ["kind", "size"]
    assert len(probes) == 2
    with pytest.raises(KeyError):
        probes["other"]
    with pytest.raises(UserError, match="name one"):
        _ = probes.best


def test_predictions_of_texts_are_those_of_their_stored_states(probes: lit.Probes) -> None:
    stored = parquet.read_table(probes.folder / "predictions.parquet").to_pandas()
    rows = records(6)
    texts = [row["text"] for row in rows]
    for target in probes.targets:
        of_target = stored[stored.target == target].set_index("sample_id").loc[[f"text-{i:06d}" for i in range(6)]]
        predicted = probes[target].predict(texts)
        if target == "kind":
            assert predicted.tolist() == of_target.predicted.tolist()
            table = probes[target].predict_proba(rows)
            assert table.max(1) == pytest.approx(of_target.probability.to_numpy(), abs=1e-5)
        else:
            assert predicted == pytest.approx(of_target.predicted.astype(float).to_numpy(), abs=1e-4)
            with pytest.raises(UserError, match="probabilities"):
                probes[target].predict_proba(texts)


def test_a_saved_probe_is_read_by_other_programs(probes: lit.Probes, tmp_path: Path) -> None:
    probes["kind"].save(tmp_path / "mine")
    assert (tmp_path / "mine" / "probe.json").is_file()
    with pytest.raises(UserError, match="exists"):
        probes["kind"].save(tmp_path / "mine")
    hidden = probes["kind"].weights.mean.shape[-1]
    assert probes["kind"].to_sklearn().predict(np.zeros((3, hidden))).shape == (3,)


def test_a_selection_and_a_foreign_place_are_refused(probes: lit.Probes) -> None:
    store = lit.open_store(probes.folder.parent / "store")
    with pytest.raises(UserError, match="selection"):
        lit.fit_probes(store.select(np.arange(10)), "kind")
