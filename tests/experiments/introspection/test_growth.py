"""More questions, later: the same rows bit for bit as if all had been asked at once, and results that are redone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.introspection.passes import open_introspection, questions_left_out
from lit_experiments.experiments.introspection.prompts import PASSES
from lit_experiments.experiments.introspection.samples import company_of, select
from lit_experiments.sources.questions import read_questions
from tests.toys import random_llama

COUNT = 40


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_llama(tmp_path_factory.mktemp("llama"), seed=0, window=512)


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions of many lengths, so that who shares a batch with whom decides its shape."""
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    options = ["red", "blue", "green", "grey"]
    made = [
        {"question": f"{i}{' very' * (7 * i % 11)} long?", "options": options, "answer": "ABCD"[i % 4]}
        for i in range(COUNT)
    ]
    path.write_text("".join(json.dumps(q) + "\n" for q in made))
    return path


def collect(run: Path, model: Path, questions: Path, **options: Any) -> int:
    words = [f"--{key}={value}" for key, value in {"batch_tokens": 2048, **options}.items()]
    about = ["--accelerator", "cpu", "--model", str(model), "--questions", str(questions), "--positions", "last_3"]
    return main(["collect", "--exp", "introspection", "--run", str(run), *about, *words])


def content(run: Path) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    store = stores.open_store(run / "store")
    return store.table().to_pylist(), {field.name: store[field.name].read() for field in store.schema.fields}


def assert_same(a: Path, b: Path) -> None:
    rows, arrays = content(a)
    others, expected = content(b)
    assert rows == others
    for name, values in arrays.items():
        np.testing.assert_array_equal(values, expected[name])


@pytest.mark.parametrize("steps", [[1, 7, 21], [20, 21], [16, 21], [13, 40]])
def test_a_run_that_grew_equals_one_made_at_once(
    llama: Path, questions: Path, tmp_path: Path, steps: list[int]
) -> None:
    options = {"shuffle_options": "true", "seed": 3}
    for number in steps:
        assert collect(tmp_path / "grown", llama, questions, num_questions=number, **options) == EXIT_DONE
        rows, _ = content(tmp_path / "grown")
        assert len(rows) == number * len(PASSES)
    assert collect(tmp_path / "once", llama, questions, num_questions=steps[-1], **options) == EXIT_DONE
    assert_same(tmp_path / "grown", tmp_path / "once")


def test_a_further_pass_is_asked_of_the_same_questions(llama: Path, questions: Path, tmp_path: Path) -> None:
    few, all_three = "[mcq, other_confidence]", "[mcq, other_confidence, self_confidence]"
    assert collect(tmp_path / "once", llama, questions, num_questions=12, passes=all_three) == EXIT_DONE
    assert collect(tmp_path / "grown", llama, questions, num_questions=12, passes=few) == EXIT_DONE
    before = {path: path.read_bytes() for path in (tmp_path / "grown" / "store" / "parts").rglob("*.parquet")}
    for kinds in ("[self_confidence]", all_three, few):  # once asked, it is there
        assert collect(tmp_path / "grown", llama, questions, num_questions=12, passes=kinds) == EXIT_DONE
    parts = (tmp_path / "grown" / "store" / "parts").iterdir()
    assert len([part for part in parts if list(part.glob("*.parquet"))]) == 2
    assert all(path.read_bytes() == kept for path, kept in before.items())
    assert_same(tmp_path / "grown", tmp_path / "once")
    grown, once = (stores.certify(stores.open_store(tmp_path / name / "store")) for name in ("grown", "once"))
    assert grown == once


def test_only_what_is_missing_is_written_and_a_smaller_number_changes_nothing(
    llama: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(tmp_path, llama, questions, num_questions=10) == EXIT_DONE
    before = {path: path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()}
    assert collect(tmp_path, llama, questions, num_questions=17) == EXIT_DONE
    assert all(path.read_bytes() == kept for path, kept in before.items() if "parts" in path.parts)
    assert stores.inspect(tmp_path / "store")["repeated_ids"] == 0
    rows, _ = content(tmp_path)
    capsys.readouterr()
    assert collect(tmp_path, llama, questions, num_questions=4) == EXIT_DONE
    output = capsys.readouterr().out
    assert "12 rows in" in output
    assert "holds 39 more rows, of samples that this command does not ask for; they stay" in output
    assert content(tmp_path)[0] == rows


def test_a_limit_takes_whole_questions_and_grows_as_the_number_does(
    llama: Path, questions: Path, tmp_path: Path
) -> None:
    for limit in (2, 9):
        assert collect(tmp_path / "limited", llama, questions, num_questions=30, limit=limit) == EXIT_DONE
        rows, _ = content(tmp_path / "limited")
        assert len(rows) == limit * len(PASSES)
        assert len({row["question_id"] for row in rows}) == limit
    assert collect(tmp_path / "numbered", llama, questions, num_questions=9) == EXIT_DONE
    assert_same(tmp_path / "limited", tmp_path / "numbered")
    assert collect(tmp_path / "first", llama, questions, limit=3) == EXIT_DONE
    assert [row["question_text"].split()[0] for row in content(tmp_path / "first")[0]][:3] == ["0", "1", "2"]


def test_rows_stand_in_the_source_s_order_whenever_they_came(llama: Path, questions: Path, tmp_path: Path) -> None:
    for number in (5, 12):
        assert collect(tmp_path, llama, questions, num_questions=number) == EXIT_DONE
    rows, _ = content(tmp_path)
    numbers = [int(row["question_text"].split()[0].rstrip("long?")) for row in rows]
    assert numbers == sorted(numbers[:12]) * len(PASSES)
    assert [row["prompt_type"] for row in rows] == [kind for kind in PASSES for _ in range(12)]


def test_another_seed_or_file_is_another_run(
    llama: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(tmp_path / "run", llama, questions, num_questions=3) == EXIT_DONE
    assert collect(tmp_path / "run", llama, questions, num_questions=3, seed=1) == EXIT_USER
    assert "settings.seed" in capsys.readouterr().err
    shorter = tmp_path / "shorter.jsonl"
    shorter.write_text("".join(questions.read_text().splitlines(keepends=True)[:-1]))
    assert collect(tmp_path / "run", llama, shorter, num_questions=3) == EXIT_USER


def test_the_choice_has_the_smaller_one_as_its_beginning_whatever_the_number() -> None:
    records = read_questions("embedded").records
    whole, none = select(records, len(records), True, 5)
    assert none == []
    for number, computed in ((1, 8), (8, 8), (9, 16), (16, 16), (17, 32), (100, 128), (129, 240), (240, 240)):
        selected, beside = select(records, number, True, 5)
        assert selected == whole[:number]
        assert selected + beside == whole[:computed]
    assert sorted(record.place for record in whole) == list(range(len(records)))
    assert [record.place for record in whole] != list(range(len(records)))
    everything, others = select(records, None, False, 5)
    assert ([record.place for record in everything], others) == (list(range(len(records))), [])
    assert {record.company for record in everything} == {None}


def test_companies_double_up_to_256_questions() -> None:
    starts = [turn for turn in range(1, 1100) if company_of(turn) != company_of(turn - 1)]
    assert starts == [8, 16, 32, 64, 128, 256, 512, 768, 1024]
    assert [company_of(turn) for turn in range(1100)] == sorted(company_of(turn) for turn in range(1100))


@pytest.mark.parametrize("more", [{"backend": "hdf5"}, {"devices": 2}])
def test_devices_and_backend_do_not_matter_to_growth(
    llama: Path, questions: Path, tmp_path: Path, more: dict[str, Any]
) -> None:
    for number in (5, 20):
        assert collect(tmp_path / "grown", llama, questions, num_questions=number, **more) == EXIT_DONE
    assert collect(tmp_path / "once", llama, questions, num_questions=20) == EXIT_DONE
    assert_same(tmp_path / "grown", tmp_path / "once")


def test_analyses_take_whole_questions_and_are_redone_when_rows_were_added(
    llama: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def directions() -> str:
        words = ["--exp", "introspection_directions", "--run", str(tmp_path), "--shuffles=19", "--bootstraps=20"]
        assert main(["analyze", *words]) == EXIT_DONE
        return capsys.readouterr().out

    assert collect(tmp_path, llama, questions, num_questions=30) == EXIT_DONE
    first = directions()
    assert "is up to date" in directions()
    assert collect(tmp_path, llama, questions, num_questions=36) == EXIT_DONE
    capsys.readouterr()
    again = directions()
    assert "Set aside" in again
    assert again.partition("\n")[2] != first
    assert len(open_introspection(tmp_path)) == 36 * len(PASSES)
    assert questions_left_out(tmp_path) == 0


def test_questions_that_a_killed_run_left_half_read_are_left_out(
    llama: Path, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store then holds rows of the first pass alone for some questions."""
    assert collect(tmp_path / "whole", llama, questions, num_questions=20) == EXIT_DONE
    store = stores.open_store(tmp_path / "whole" / "store")
    half = {row["sample_id"] for row in store.table(["sample_id"]).to_pylist()[5:20]}  # fifteen of the mcq pass
    kept = np.array([name not in half for name in store.sample_ids])
    monkeypatch.setattr("lit_experiments.experiments.introspection.passes.open_store", lambda _: store.select(kept))
    rows = open_introspection(tmp_path / "whole")
    assert len(rows) == 5 * len(PASSES)
    assert questions_left_out(tmp_path / "whole") == 15
