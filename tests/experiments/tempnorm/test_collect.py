"""Collecting study 1: known answers from a model whose distributions are known, and independence of how it is run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_FAILED, EXIT_USER
from tests.collecting.conftest import content
from tests.tolerance import assert_close
from tests.toys import bigram_model, random_llama

WORDS = ["a", "b"]
P = np.array([[0.8, 0.2], [0.35, 0.65]])


def collect(run: Path, **options: Any) -> int:
    words = [f"--{key}={value}" for key, value in options.items()]
    return main(["collect", "--exp", "tempnorm", "--accelerator", "cpu", "--run", str(run), *words])


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_llama(tmp_path_factory.mktemp("llama"), seed=0)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("contexts") / "contexts.txt"
    path.write_text("\n".join("x" * int(n) + " y" for n in rng.integers(1, 40, 21)))
    return path


@pytest.fixture(scope="module")
def bigram(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A collection from a two-symbol language: 400 starting points 'a' and 'b', 16 continuations each, no wandering."""
    folder = tmp_path_factory.mktemp("bigram")
    bigram_model(folder / "model", P, WORDS)
    (folder / "contexts.txt").write_text("a\nb\n" * 200)
    options = {"model": folder / "model", "contexts": folder / "contexts.txt", "initial_wander": 0, "gen_number": 16}
    assert collect(folder / "run", **options, gen_length=8, eval_lengths="[1, 2, 5, 8]") == EXIT_DONE
    return stores.open_store(folder / "run" / "store")


def test_sampled_mean_agrees_with_the_product_of_tempered_transition_matrices(bigram: stores.Store) -> None:
    starts = np.array([ids[-1] for ids in bigram.table(["starting_point_ids"]).column(0).to_pylist()])
    values = bigram["tempnorm"].read()
    for start in (0, 1):
        drawn = values[starts == start].reshape(-1, 4)
        error = drawn.std(0, ddof=1) / np.sqrt(len(drawn))
        exact = [(np.linalg.matrix_power(P**4, n) @ np.ones(2))[start] for n in (1, 2, 5, 8)]
        assert np.all(np.abs(drawn.mean(0) - exact) < 3.5 * error)


def test_one_step_value_is_exact(bigram: stores.Store) -> None:
    table = bigram.table(["starting_point_ids", "log_one_step", "next_token_entropy"]).to_pydict()
    for ids, value, entropy in zip(*table.values(), strict=True):
        row = P[ids[-1]]
        assert value == pytest.approx(np.log((row**4).sum()), abs=1e-5)
        assert entropy == pytest.approx(-(row * np.log(row)).sum(), abs=1e-5)


def test_log_probabilities_are_those_of_the_sampled_tokens(bigram: stores.Store) -> None:
    starts = np.array([ids[-1] for ids in bigram.table(["starting_point_ids"]).column(0).to_pylist()])
    tokens, log_probs = bigram["token_ids"].read(), bigram["log_probs"].read()
    before = np.concatenate([np.broadcast_to(starts[:, None, None], (400, 16, 1)), tokens[..., :-1]], -1)
    np.testing.assert_allclose(log_probs, np.log(P[before, tokens]), atol=1e-5)


def test_stored_means_and_variances_follow_from_the_continuations(bigram: stores.Store) -> None:
    tempnorms = bigram["tempnorm"].read()
    np.testing.assert_allclose(bigram["tempnorm_mean"].read(), tempnorms.mean(1))
    np.testing.assert_allclose(bigram["tempnorm_variance"].read(), tempnorms.var(1, ddof=1), atol=1e-15)
    np.testing.assert_allclose(bigram["log_tempnorm"].read(), np.log(tempnorms))


@pytest.mark.parametrize("size", [1, 4, 8])
def test_batch_size_changes_no_token(llama: Path, contexts: Path, tmp_path: Path, size: int) -> None:
    options = {"model": llama, "contexts": contexts, "gen_length": 12, "eval_lengths": "[1, 12]"}
    assert collect(tmp_path / "all", **options) == EXIT_DONE
    assert collect(tmp_path / "some", **options, batch_size=size, backend="hdf5") == EXIT_DONE
    one, other = content(tmp_path / "all"), content(tmp_path / "some")
    np.testing.assert_array_equal(one["token_ids"], other["token_ids"])
    assert one["starting_point_ids"] == other["starting_point_ids"]
    assert_close(one["log_probs"], other["log_probs"])


def test_a_collection_grown_by_limit_equals_one_made_at_once(llama: Path, contexts: Path, tmp_path: Path) -> None:
    options = {"model": llama, "contexts": contexts, "gen_length": 6, "eval_lengths": "[6]", "batch_size": 4}
    for limit in (3, 10, 21):
        assert collect(tmp_path / "grown", **options, limit=limit) == EXIT_DONE
        assert len(stores.open_store(tmp_path / "grown" / "store")) == limit
    assert collect(tmp_path / "once", **options) == EXIT_DONE
    np.testing.assert_array_equal(content(tmp_path / "grown")["token_ids"], content(tmp_path / "once")["token_ids"])


def test_stopping_at_end_of_text_marks_and_counts(llama: Path, contexts: Path, tmp_path: Path) -> None:
    options = {"model": llama, "contexts": contexts, "gen_length": 60, "eval_lengths": "[1, 60]", "gen_number": 6}
    assert collect(tmp_path / "run", **options, stop_at_eos="true") == EXIT_DONE
    rows = content(tmp_path / "run")
    tokens, lengths, log_probs = rows["token_ids"], rows["generation_length"], rows["log_probs"]
    assert (lengths < 60).any()
    for row in np.ndindex(lengths.shape):
        assert (tokens[row][: lengths[row]] >= 0).all()
        assert (tokens[row][lengths[row] :] == -1).all()
        assert np.isnan(log_probs[row][lengths[row] :]).all()
        assert 0 not in tokens[row][: lengths[row] - 1]
        if lengths[row] < 60:
            assert tokens[row][lengths[row] - 1] == 0
    assert np.isfinite(rows["log_tempnorm"]).all()


def test_other_sites_are_stored_by_name(llama: Path, contexts: Path, tmp_path: Path) -> None:
    sites = "[resid_post.0, resid_post.2, final_norm]"
    options = {"model": llama, "contexts": contexts, "gen_length": 2, "eval_lengths": "[2]", "limit": 5}
    assert collect(tmp_path / "more", **options, sites=sites) == EXIT_DONE
    assert collect(tmp_path / "one", **options) == EXIT_DONE
    more, one = stores.open_store(tmp_path / "more" / "store"), stores.open_store(tmp_path / "one" / "store")
    assert more.schema.coords["layer"] == ["resid_post.0", "resid_post.2", "final_norm"]
    assert more["starting_hidden"].shape == (3, 5, 32)
    np.testing.assert_array_equal(more["starting_hidden"].read(layer=2), one["starting_hidden"].read(layer=0))


def test_long_contexts_are_refused_skipped_or_cut_and_always_named(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "contexts.txt"
    path.write_text("short\n" + "long " * 60 + "end\nalso short\n")
    options = {"model": llama, "contexts": path, "gen_length": 20, "eval_lengths": "[20]"}
    assert collect(tmp_path / "run", **options) == EXIT_USER
    message = capsys.readouterr().err
    for part in ("line 2 (303 tokens)", "holds 256 tokens", "leave 226", "--too_long skip"):
        assert part in message
    assert not (tmp_path / "run").exists()
    assert collect(tmp_path / "skip", **options, too_long="skip") == EXIT_DONE
    assert "left out: 1 of 3" in capsys.readouterr().out
    assert content(tmp_path / "skip")["sample_id"] == ["context-000001", "context-000003"]
    assert collect(tmp_path / "cut", **options, too_long="truncate") == EXIT_DONE
    assert "cut to their last 226 tokens: 1 of 3" in capsys.readouterr().out
    assert content(tmp_path / "cut")["prefix_length"][1] == 236


def test_malformed_records_stop_the_run_or_are_skipped_and_named(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "contexts.jsonl"
    path.write_text('{"text": "one"}\n{"text": \n{"text": "three"}\n')
    options = {"model": llama, "contexts": path, "text_column": "text", "gen_length": 2, "eval_lengths": "[2]"}
    assert collect(tmp_path / "run", **options) == EXIT_USER
    message = capsys.readouterr().err
    assert "contexts.jsonl, line 2: not valid JSON" in message
    assert "--malformed skip" in message
    assert collect(tmp_path / "run", **options, malformed="skip") == EXIT_DONE
    assert "1 malformed records left out" in capsys.readouterr().out
    assert content(tmp_path / "run")["sample_id"] == ["context-000001", "context-000003"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eval_lengths": "[1, 41]"}, "between 1 and gen_length 40"),
        ({"eval_lengths": "[2, 1]"}, "rise without repeats"),
        ({"eval_lengths": "[]"}, "between 1 and gen_length"),
        ({"gen_number": 0}, "gen_number must be at least 1"),
        ({"alpha": 1}, "alpha must be above 1"),
        ({"gen_length": 300, "eval_lengths": "[1]"}, "leave no room for a context"),
        ({"sites": "[resid_post.9]"}, "resid_post.9"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_runs(
    llama: Path,
    contexts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: dict[str, Any],
    message: str,
) -> None:
    assert collect(tmp_path / "run", model=llama, contexts=contexts, **options) == EXIT_USER
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_jsonl_records_have_the_published_keys(bigram: stores.Store, tmp_path: Path) -> None:
    run = Path(bigram.path).parent
    out = tmp_path / "records.jsonl"
    assert main(["export", str(run), "--format", "jsonl", "--out", str(out)]) == EXIT_DONE
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(records) == 400
    keys = ["starting_point", "starting_point_ids", "starting_hidden_vector", "generations"]
    by_length = ["individual_tempnorms", "log_tempnorms", "tempnorm_mean", "tempnorm_variance"]
    assert set(records[0]) == {*keys, *(f"{name}_{n}" for name in by_length for n in (1, 2, 5, 8))}
    one = records[3]
    assert len(one["starting_hidden_vector"]) == 16
    generation = one["generations"][5]
    assert set(generation) == {"token_ids", "generated_text", "model_probs"}
    assert one["individual_tempnorms_5"][5] == pytest.approx(np.prod(generation["model_probs"][:5]) ** 3, rel=1e-5)
    assert one["tempnorm_mean_5"] == pytest.approx(np.mean(one["individual_tempnorms_5"]))


def test_inspect_and_verify_read_the_run(bigram: stores.Store, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(Path(bigram.path).parent)
    assert main(["inspect", run]) == EXIT_DONE
    output = capsys.readouterr().out
    for part in ("rows          400", "log_tempnorm", "settings.alpha: 4.0", "eval_length: 1, 2, 5, 8"):
        assert part in output
    assert main(["verify", run]) == EXIT_DONE
    assert "every byte as written" in capsys.readouterr().out


def test_a_corrupt_commit_is_one_message_and_keeps_its_hands_off(
    llama: Path, contexts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"model": llama, "contexts": contexts, "gen_length": 2, "eval_lengths": "[2]", "limit": 5}
    run = tmp_path / "run"
    assert collect(run, **options) == EXIT_DONE
    (commit,) = (run / "store").rglob("rows-*.parquet")
    damaged = bytearray(commit.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    commit.write_bytes(damaged)
    before = sorted((run / "store").rglob("*"))
    assert collect(run, **options) == EXIT_USER
    message = capsys.readouterr().err
    assert commit.name in message
    assert "lit-experiments verify" in message
    assert sorted((run / "store").rglob("*")) == before


def test_nan_in_a_continuation_names_the_context_it_belongs_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows are forked for the continuations; the error must still name the sample, not the row."""
    words = ["safe", "risky", "broken"]
    folder = bigram_model(tmp_path / "model", np.array([[1.0, 0, 0], [0, 0, 1.0], [1.0, 0, 0]]), words)
    model = LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.embed_tokens.weight[2] = torch.nan
    model.save_pretrained(folder)
    (tmp_path / "contexts.txt").write_text("safe\nrisky\n")
    options = {"model": folder, "contexts": tmp_path / "contexts.txt", "initial_wander": 0}
    assert collect(tmp_path / "run", **options, gen_length=4, eval_lengths="[4]") == EXIT_FAILED
    assert "context-000002" in capsys.readouterr().err
