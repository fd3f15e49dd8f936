"""Spans of characters read exactly their tokens."""

from pathlib import Path
from typing import Any

import pytest

from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.activations.spans import TextSpan, parse_spans, span_tokens
from lit_experiments.sources.values import BadValueError
from tests.experiments.activations.conftest import collect, jsonl, rows_of, states_of

TEXT = "I saw \U0001f600 caf\u00e9s."  # bytes: I, space, s a w, space, 4 of the face, space, c a f, 2 of e acute, s, .


@pytest.mark.parametrize("size", [1, 2])
def test_a_span_s_tokens_are_the_bytes_of_its_characters(llama: Path, tmp_path: Path, size: int) -> None:
    spans = [[2, 5, "verb"], {"start": 6, "end": 7, "label": "face"}, [8, 13, "noun"], [10, 12, "noun"]]
    table = jsonl(tmp_path / "t.jsonl", [{"text": TEXT, "marks": spans}, {"text": "none", "marks": []}])
    options = {"model": llama, "texts": table, "span_column": "marks", "positions": "[spans, all]"}
    assert collect(tmp_path / "run", **options, batch_size=size) == EXIT_DONE
    first, second = rows_of(tmp_path / "run")
    tokens = [[2, 3, 4], [6, 7, 8, 9], [11, 12, 13, 14, 15, 16], [13, 14, 15]]
    assert first["span_positions"] == [position for span in tokens for position in span]
    assert first["span_of"] == [0] * 3 + [1] * 4 + [2] * 6 + [3] * 3
    assert first["span_label"] == ["verb"] * 3 + ["face"] * 4 + ["noun"] * 9
    every, read = states_of(tmp_path / "run", "hidden_all")[0], states_of(tmp_path / "run", "hidden_spans")
    assert (read[0] == every[:, first["span_positions"]]).all()
    assert (second["span_positions"], read[1].shape) == ([], (3, 0, 32))
    assert (
        first["marks"] == '[[2, 5, "verb"], {"start": 6, "end": 7, "label": "face"}, [8, 13, "noun"], [10, 12, "noun"]]'
    )


def test_numbers_as_labels_stay_numbers_and_json_in_cells_is_read(llama: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text('text,marks\nabc,"[[0, 1, 0.5], [1, 3]]"\ndef,\n', encoding="utf-8")
    assert collect(tmp_path / "run", model=llama, texts=table, span_column="marks", positions="spans") == EXIT_DONE
    first, second = rows_of(tmp_path / "run")
    assert first["span_label"] == [0.5, None, None]
    assert second["span_label"] == []


def test_in_a_template_spans_count_the_text_column(llama: Path, tmp_path: Path) -> None:
    table = jsonl(tmp_path / "t.jsonl", [{"title": "On\u00e9", "body": "abcd", "marks": [[1, 3, "x"]]}])
    options = {"template": "{title}: {body}!", "text_column": "body", "span_column": "marks", "positions": "spans"}
    assert collect(tmp_path / "run", model=llama, texts=table, **options) == EXIT_DONE
    (row,) = rows_of(tmp_path / "run")
    places = [(row["char_start"][p], row["char_end"][p]) for p in row["span_positions"]]
    assert [row["text"][a:b] for a, b in places] == ["b", "c"]


@pytest.mark.parametrize(
    ("side", "text", "labels"), [("truncate_left", "ijklmnop", ["end"]), ("truncate_right", "abcdefgh", ["begin"])]
)
def test_in_a_text_that_is_cut_spans_keep_their_characters(
    llama: Path, tmp_path: Path, side: str, text: str, labels: list[str]
) -> None:
    marks = {"truncate_left": [[15, 16, "end"]], "truncate_right": [[0, 1, "begin"]]}[side]
    table = jsonl(tmp_path / "t.jsonl", [{"text": "abcdefghijklmnop", "marks": marks}])
    options = {"span_column": "marks", "positions": "[spans, all]", "generate": 56, "too_long": side}
    assert collect(tmp_path / "run", model=llama, texts=table, **options) == EXIT_DONE
    (row,) = rows_of(tmp_path / "run")
    assert (row["text"], row["span_label"]) == (text, labels)
    (position,) = row["span_positions"]
    assert row["text"][row["char_start"][position]] == {"end": "p", "begin": "a"}[labels[0]]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("[[0, 1", "no JSON"),
        (5, "list of spans, found int"),
        ([5], "span 0 must be"),
        ([[0, 1, "a"], {"start": 1}], "span 1 must begin and end"),
        ([[0, True, "a"]], "whole numbers"),
        ([[2, 2, "a"]], "characters 2 to 2 of a text that has 4"),
        ([[0, 5, "a"]], "characters 0 to 5"),
        ([[0, 1, ["a"]]], "neither text nor a number"),
    ],
)
def test_what_is_no_span_is_named(value: Any, says: str) -> None:
    with pytest.raises(BadValueError, match=says):
        parse_spans(value, "marks", 4)


def test_a_span_that_reads_no_token_is_an_error_with_row_and_span(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadValueError, match=r'"marks", span 1 \(characters 2 to 3\) reads no token'):
        span_tokens([TextSpan(0, 1, "a"), TextSpan(2, 3, "b")], [(0, 0), (0, 2), (3, 4)], 0, "marks")
    records = [{"text": "ab", "marks": [[0, 1, "x"]]}, {"text": "abcd" * 20, "marks": [[0, 1, "x"], [79, 80, "y"]]}]
    table = jsonl(tmp_path / "t.jsonl", records)
    options = {"model": llama, "texts": table, "span_column": "marks", "positions": "spans"}
    assert collect(tmp_path / "run", **options, too_long="truncate_right") == EXIT_USER
    message = capsys.readouterr().err
    assert "line 2" in message
    assert "span 1" in message
    assert collect(tmp_path / "run", **options, too_long="truncate_right", malformed="skip") == EXIT_DONE
    assert [row["sample_id"] for row in rows_of(tmp_path / "run")] == ["text-000000"]
