"""Every mistake gets one message that names it, and leaves no trace."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from lit_experiments.errors import EXIT_USER
from tests.experiments.linear_probes.written import planted, random_texts, train, write_store

ROWS = 60
BAD = [
    ("", "declares none", "--target COLUMN"),
    ("--target kindd", "no such column", "'kind'"),
    ("--target kind kind", "twice"),
    ("--target detail", "json"),
    ("--target kind --target_type number", "target_type number", "no numbers"),
    ("--target kind --method ridge", "--method ridge takes numbers"),
    ("--target size --method lda", "--method lda takes classes"),
    ("--target size --method logistic", "--method logistic takes classes"),
    ("--target kind --method svm", "method", "svm"),
    ("--target kind --fields stats", "no such field", "'states'"),
    ("--target kind --layers resid_post.9", "no layer resid_post.9", "resid_post.2"),
    ("--target kind --group_by column", "--group_column"),
    ("--target kind --group_column nobody", "--group_column nobody"),
    ("--target kind --group_column empty", "60 of 60 rows"),
    ("--target kind --split_column kind", "is no part", "train"),
    ("--target kind --split_column alltrain", "0 test rows"),
    ("--target kind --text_column size", "--text_column size", "float64"),
    ("--target kind --row_filter '{kind: c9}'", "no row", "c0, c1"),
    ("--target kind --row_filter '{kin: c1}'", "no such column"),
    ("--target kind --sample_weights negative", "at least 0"),
    ("--target kind --output_columns kind", "--output_columns kind", "numbers"),
    ("--target kind --evaluate_on nowhere", "--evaluate_on nowhere", "holds no store"),
    ("--target kind --labels labels.csv", "no column sample_id"),
    ("--target kind --labels strangers.csv", "none of its 1 ids", "'who'"),
    ("--target kind --labels doubled.csv", "comes twice"),
    ("--target kind --labels gone.csv", "gone.csv"),
    ("--target kind --permutations 5", "permutations must be at least 19"),
    ("--target kind --folds 1", "folds must be at least 2"),
    ("--target kind --folds 50", "60 groups", "--folds"),
    ("--target kind --penalties '[-1]'", "penalties"),
    ("--target kind --shrinkages '[2]'", "shrinkages"),
    ("--target kind --class_weights heavy", "class_weights"),
    ("--target kind --near_copies 0", "near_copies"),
    ("--target tags", "list of labels per row", "spans"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("mistakes")
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, ROWS)
    columns = {
        "text": random_texts(rng, ROWS),
        "kind": [f"c{code}" for code in kind],
        "size": rng.normal(size=ROWS).tolist(),
        "same": ["x"] * ROWS,
        "empty": [None] * ROWS,
        "detail": [{"a": 1}] * ROWS,
        "alltrain": ["train"] * ROWS,
        "negative": (-np.ones(ROWS)).tolist(),
        "tags": [["a", "b"]] * ROWS,
    }
    types = dict.fromkeys(columns, "string")
    types |= {"size": "float64", "negative": "float64", "detail": "json", "tags": "list<string>"}
    write_store(path / "run", planted(rng, kind), columns, types)
    (path / "labels.csv").write_text("id,kind\ns0000,a\n")
    (path / "strangers.csv").write_text("sample_id,kind\nwho,a\n")
    (path / "doubled.csv").write_text("sample_id,kind\ns0000,a\ns0000,b\n")
    return path


@pytest.mark.parametrize("row", BAD, ids=[row[0] or "bare" for row in BAD])
def test_a_mistake_gets_one_message_and_leaves_no_trace(
    row: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    assert train(folder / "run", *shlex.split(row[0])) == EXIT_USER
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert "Traceback" not in message
    for words in row[1:]:
        assert words in message
    assert sorted(folder.rglob("*")) == before
