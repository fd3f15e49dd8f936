"""Where states and labels come from: tokens, a user's store, tables, declarations, given splits, other runs."""

import json
from pathlib import Path

import numpy as np
import pytest

from lit_experiments.claims.rule import SUPPORTED
from lit_experiments.errors import EXIT_DONE
from tests.experiments.linear_probes.written import (
    LAYERS,
    declare,
    planted,
    random_texts,
    result_of,
    target_of,
    train,
    write_store,
)

ROWS = 200


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_labels_of_tokens_are_read_at_their_tokens(tmp_path: Path, rng: np.random.Generator) -> None:
    """Every token has a label of its own; rows are groups, and stay whole."""
    lengths = rng.integers(2, 7, 120)
    truth = rng.integers(0, 2, lengths.sum())
    ends = np.cumsum(lengths)
    tags = [["x" if code else "y" for code in part] for part in np.split(truth, ends[:-1])]
    columns = {"text": random_texts(rng, 120), "tags": tags}
    types = {"text": "string", "tags": "list<string>"}
    write_store(tmp_path / "r", planted(rng, 4 * truth), columns, types, lengths.tolist())
    assert train(tmp_path / "r", "--target", "tags") == EXIT_DONE
    target = target_of(tmp_path / "r", "tags")
    assert target.rows == lengths.sum()
    assert target.test_groups == round(0.3 * 120)
    assert target.score.value > 0.9
    assert target.layer != LAYERS[0]


def test_a_row_of_many_entries_is_read_at_its_last(tmp_path: Path, rng: np.random.Generator) -> None:
    lengths = rng.integers(1, 5, ROWS)
    label = rng.integers(0, 2, ROWS)
    last = np.cumsum(lengths) - 1
    states = rng.normal(size=(3, lengths.sum(), 8)).astype(np.float32)
    states[:, last] = planted(rng, 4 * label, layer=0)
    columns = {"text": random_texts(rng, ROWS), "kind": [f"c{code}" for code in label]}
    write_store(tmp_path / "r", states, columns, {"text": "string", "kind": "string"}, lengths.tolist())
    assert train(tmp_path / "r", "--target", "kind") == EXIT_DONE
    assert target_of(tmp_path / "r", "kind").score.value > 0.9


def test_a_store_without_text_is_split_row_by_row_and_says_so(tmp_path: Path, rng: np.random.Generator) -> None:
    label = rng.normal(size=ROWS)
    write_store(tmp_path / "r", planted(rng, 3 * label), {"size": label.tolist()}, {"size": "float64"})
    assert train(tmp_path / "r", "--target", "size") == EXIT_DONE
    result = result_of(tmp_path / "r")
    assert result.split.by == "row"
    assert any("no text" in note for note in result.split.notes)
    assert any("random-weights twin" in line for line in result.without)
    assert result.targets[0].verdict.word == SUPPORTED


def test_labels_join_from_a_table_and_change_the_results(tmp_path: Path, rng: np.random.Generator) -> None:
    feature = rng.normal(size=ROWS)
    write_store(tmp_path / "r", planted(rng, 3 * feature), {"text": random_texts(rng, ROWS)}, {"text": "string"})
    table = tmp_path / "labels.csv"
    lines = [f"s{i:04d},{feature[i]:.4f},{'up' if feature[i] > 0 else 'down'}" for i in range(0, ROWS - 20)]
    table.write_text("\n".join(["sample_id,size,kind", *lines, "nobody,1.0,up"]))
    assert train(tmp_path / "r", "--labels", str(table)) == EXIT_DONE
    size, kind = (target_of(tmp_path / "r", name) for name in ("size", "kind"))
    assert (size.kind, kind.kind) == ("number", "class")
    assert size.missing == kind.missing == 20
    assert any("name no sample" in line for line in result_of(tmp_path / "r").without)
    table.write_text(table.read_text().replace("s0000", "s0199"))
    assert train(tmp_path / "r", "--labels", str(table)) == EXIT_DONE
    assert (tmp_path / "r" / "linear_probes.old-1").is_dir()


def test_declarations_can_be_changed_without_collecting_again(tmp_path: Path, rng: np.random.Generator) -> None:
    label = rng.integers(0, 2, ROWS)
    kind = [f"c{code}" for code in label]
    columns = {
        "text": random_texts(rng, ROWS),
        "kind": kind,
        "other": kind,
        "author": [f"a{i % 40}" for i in range(ROWS)],
    }
    write_store(tmp_path / "r", planted(rng, 3 * label), columns, dict.fromkeys(columns, "string"))
    declare(tmp_path / "r", label_columns=["kind"])
    assert train(tmp_path / "r") == EXIT_DONE
    assert result_of(tmp_path / "r").split.groups == ROWS
    declare(tmp_path / "r", label_columns=["other"], group_column="author")
    assert train(tmp_path / "r") == EXIT_DONE
    result = result_of(tmp_path / "r")
    assert [target.target for target in result.targets] == ["other"]
    assert result.split.groups == 40


def test_a_given_split_is_kept_and_its_leaks_are_counted(tmp_path: Path, rng: np.random.Generator) -> None:
    label = rng.integers(0, 2, ROWS)
    texts = random_texts(rng, ROWS)
    texts[:10] = texts[-10:]
    part = ["test" if i >= 150 else "validation" if i >= 130 else "train" for i in range(ROWS)]
    columns = {"text": texts, "kind": [f"c{code}" for code in label], "part": part}
    write_store(tmp_path / "r", planted(rng, 3 * label), columns, dict.fromkeys(columns, "string"))
    assert train(tmp_path / "r", "--target", "kind", "--split_column", "part") == EXIT_DONE
    split = json.loads((tmp_path / "r" / "linear_probes" / "split.json").read_text())["kind"]
    assert split["test"] == [f"s{i:04d}" for i in range(150, ROWS)]
    assert len(split["train"]) == 150
    summary = result_of(tmp_path / "r").split
    assert (summary.test_rows, summary.neighbours) == (50, 10)
    assert any("20 validation rows" in note for note in summary.notes)


def test_probes_are_evaluated_on_texts_they_were_not_trained_on(tmp_path: Path, rng: np.random.Generator) -> None:
    """Of another run with the same direction only the texts that this run was not trained on count; a run whose
    direction is turned around is below chance; one of another width has no score."""
    label = rng.integers(0, 2, ROWS)
    texts, types = random_texts(rng, 2 * ROWS), {"text": "string", "kind": "string"}
    kind = [f"c{code}" for code in label]
    write_store(tmp_path / "r", planted(rng, 4 * label), {"text": texts[:ROWS], "kind": kind}, types)
    doubled = np.tile(label, 2)
    columns = {"text": texts, "kind": kind * 2}
    write_store(tmp_path / "more", planted(rng, 4 * doubled), columns, types)
    write_store(tmp_path / "turned", planted(rng, -4 * doubled), columns, types)
    others = ["--evaluate_on", str(tmp_path / "more"), str(tmp_path / "turned")]
    assert train(tmp_path / "r", "--target", "kind", *others) == EXIT_DONE
    target = target_of(tmp_path / "r", "kind")
    more, turned = target.transfer
    assert more.rows == 2 * ROWS - (target.rows - target.test_rows)
    assert more.left_out == target.rows - target.test_rows
    assert more.score is not None
    assert turned.score is not None
    assert more.score.value > 0.9 > 0.1 > turned.score.value
    assert list(more.by_layer) == LAYERS
    assert more.by_layer[LAYERS[0]].side_of(0.5) == 0


def test_groups_of_another_run_are_made_as_this_runs_and_trained_ones_are_left_out(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Intervals on another run resample its authors, not its rows; an author who was trained on says nothing new, and
    where all were, there is no score."""
    label = rng.integers(0, 2, ROWS)
    kind, types = [f"c{code}" for code in label], {"text": "string", "kind": "string", "author": "string"}
    authors = {
        "r": [f"a{i % 40}" for i in range(ROWS)],
        "strangers": [f"b{i % 10}" for i in range(ROWS)],
        "mixed": [f"{'a' if i % 2 else 'b'}{i % 40}" for i in range(ROWS)],
        "one": ["a1"] * ROWS,
    }
    for name, author in authors.items():
        columns = {"text": random_texts(rng, ROWS), "kind": kind, "author": author}
        write_store(tmp_path / name, planted(rng, 4 * label), columns, types)
        declare(tmp_path / name, label_columns=["kind"], group_column="author")
    others = [str(tmp_path / name) for name in ("strangers", "mixed", "one")]
    assert train(tmp_path / "r", "--evaluate_on", *others) == EXIT_DONE
    split = json.loads((tmp_path / "r" / "linear_probes" / "split.json").read_text())["kind"]
    trained = {authors["r"][int(sample[1:])] for sample in split["train"]}
    strangers, mixed, one = target_of(tmp_path / "r", "kind").transfer
    assert (strangers.rows, strangers.groups, strangers.left_out) == (ROWS, 10, 0)
    assert mixed.left_out == sum(author in trained for author in authors["mixed"]) > 0
    assert mixed.groups == len(set(authors["mixed"]) - trained)
    assert f"{mixed.left_out} left out for their author alone" in mixed.note
    assert mixed.score is not None
    assert mixed.score.value > 0.9
    assert "a1" in trained
    assert (one.rows, one.left_out, one.score) == (0, ROWS, None)
    assert one.note.startswith("no row is left that was not trained on")


def test_rare_classes_are_left_out_or_merged(tmp_path: Path, rng: np.random.Generator) -> None:
    label = rng.integers(0, 2, ROWS)
    kind = [f"c{code}" for code in label]
    kind[:2], kind[2:4] = ["d", "d"], ["e", "e"]
    columns = {"text": random_texts(rng, ROWS), "kind": kind}
    write_store(tmp_path / "r", planted(rng, 3 * label), columns, dict.fromkeys(columns, "string"))
    assert train(tmp_path / "r", "--target", "kind") == EXIT_DONE
    target = target_of(tmp_path / "r", "kind")
    assert (target.classes, target.rows) == (["c0", "c1"], ROWS - 4)
    assert any("left out" in note for note in target.notes)


def test_a_class_without_enough_test_groups_does_not_take_the_others_interval(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Eight rows of a third class left the score of all classes without an interval: underpowered, whatever it was."""
    label = rng.integers(0, 2, ROWS)
    kind = [f"c{code}" for code in label]
    kind[:8] = ["d"] * 8
    columns = {"text": random_texts(rng, ROWS), "kind": kind}
    write_store(tmp_path / "r", planted(rng, 3 * label), columns, dict.fromkeys(columns, "string"))
    assert train(tmp_path / "r", "--target", "kind") == EXIT_DONE
    target = target_of(tmp_path / "r", "kind")
    assert target.classes == ["c0", "c1"]
    assert target.score.has_interval
    assert any("d 8" in note for note in target.notes)
