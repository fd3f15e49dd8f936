"""What the model reads: columns, templates, conversations, pairs, compressed files; ids, repeats, declarations."""

import gzip
import json
import re
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from transformers import AutoTokenizer

import stores
from lit_experiments.collecting.declarations import Declarations, read_declarations
from lit_experiments.collecting.plan import first_groups
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.activations.collect import ActivationsCollector
from lit_experiments.experiments.activations.text_encoder import TextEncoder
from lit_experiments.lm.chat import Chat
from lit_experiments.lm.info import read_info
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.sources import text_bytes
from lit_experiments.sources.texts import RecordText
from tests.experiments.activations.conftest import collect, jsonl, rows_of

PAIRS = [{"true": "Ice is cold.", "false": "Ice is hot.", "topic": "ice"}, {"true": "A", "false": "B", "topic": None}]


def test_the_bare_default_reads_the_embedded_questions(tmp_path: Path) -> None:
    assert collect(tmp_path / "run", limit=5) == EXIT_DONE
    rows = rows_of(tmp_path / "run")
    assert [row["question_id"] for row in rows] == ["q001", "q002", "q003", "q004", "q005"]
    assert read_declarations(tmp_path / "run") == Declarations(("subject", "difficulty"))


def test_a_conversation_is_read_in_the_model_s_template(llama: Path, tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    chats = [turns, [*turns, {"role": "user", "content": "So"}], "just a text", json.dumps(turns)]
    table = jsonl(tmp_path / "t.jsonl", [{"chat": chat, "kind": k} for k, chat in enumerate(chats)])
    options = {"messages_column": "chat", "chat_options": "{short: true}", "system_prompt": "Be."}
    assert collect(tmp_path / "run", model=llama, texts=table, **options) == EXIT_DONE
    tokenizer = AutoTokenizer.from_pretrained(llama)
    system = [{"role": "system", "content": "Be."}]
    whole = [chats[0], chats[1], [{"role": "user", "content": "just a text"}], chats[0]]
    for row, chat in zip(rows_of(tmp_path / "run"), whole, strict=True):
        goes_on = chat[-1]["role"] == "user"
        theirs = tokenizer.apply_chat_template(
            [*system, *chat], add_generation_prompt=goes_on, tokenize=False, short=True
        )
        assert row["text"] == theirs
        assert row["text"].endswith("<assistant>!") == goes_on
        assert row["input_ids"] == tokenizer(theirs, add_special_tokens=False)["input_ids"]
        assert "chat" not in row


def test_pairs_are_two_rows_of_one_group(llama: Path, tmp_path: Path) -> None:
    table = jsonl(tmp_path / "t.jsonl", PAIRS)
    options = {"model": llama, "texts": table, "pair_columns": "[true, false]", "label_columns": "topic"}
    assert collect(tmp_path / "run", **options) == EXIT_DONE
    rows = rows_of(tmp_path / "run")
    assert [row["sample_id"] for row in rows] == [f"text-00000{k}:{name}" for k in (0, 1) for name in ("true", "false")]
    assert [row["pair"] for row in rows] == ["text-000000"] * 2 + ["text-000001"] * 2
    assert [(row["pair_label"], row["text"]) for row in rows[:2]] == [
        ("true", "Ice is cold."),
        ("false", "Ice is hot."),
    ]
    assert "true" not in rows[0]
    assert read_declarations(tmp_path / "run") == Declarations(("pair_label", "topic"), "pair")
    assert collect(tmp_path / "one", **options, limit=1) == EXIT_DONE
    assert len(rows_of(tmp_path / "one")) == 2, "a limit counts pairs"


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_tables_are_read(llama: Path, tmp_path: Path, suffix: str) -> None:
    content = b'{"text": "one", "n": 1}\n{"text": "two", "n": 2}\n'
    path = tmp_path / f"t.jsonl{suffix}"
    packed = gzip.compress(content) if suffix == ".gz" else pa.compress(content, codec="zstd", asbytes=True)
    path.write_bytes(packed)
    assert collect(tmp_path / "run", model=llama, texts=path, text_column="text") == EXIT_DONE
    assert [row["n"] for row in rows_of(tmp_path / "run")] == [1, 2]


def test_lines_of_a_text_file_are_texts_and_blank_ones_are_passed_over(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.txt").write_text("one\n\ntwo\none\n")
    assert collect(tmp_path / "run", model=llama, texts=tmp_path / "t.txt") == EXIT_DONE
    output = capsys.readouterr().out
    assert "1 blank lines passed over" in output
    assert "2 distinct texts among 3" in output
    assert [row["text"] for row in rows_of(tmp_path / "run")] == ["one", "two", "one"]


@pytest.mark.parametrize(("ids", "names"), [("xyz", ["x", "y", "z"]), ("xyx", [f"text-00000{k}" for k in range(3)])])
def test_ids_name_the_samples_where_they_are_unique(llama: Path, tmp_path: Path, ids: str, names: list[str]) -> None:
    table = jsonl(tmp_path / "t.jsonl", [{"text": "t", "id": name} for name in ids])
    assert collect(tmp_path / "run", model=llama, texts=table, id_column="id") == EXIT_DONE
    rows = rows_of(tmp_path / "run")
    assert [row["sample_id"] for row in rows] == names
    assert [row["id"] for row in rows] == list(ids)


def test_declarations_change_without_collecting_again(llama: Path, tmp_path: Path) -> None:
    table = jsonl(tmp_path / "t.jsonl", [{"text": "a", "y": 1, "who": "p", "part": "train"}])
    options = {"model": llama, "texts": table}
    assert collect(tmp_path / "run", **options, label_columns="[y]") == EXIT_DONE
    assert read_declarations(tmp_path / "run") == Declarations(("y",))
    store = stores.open_store(tmp_path / "run" / "store")
    begun = (tmp_path / "run" / "store" / "store.json").read_bytes()
    changed = {"label_columns": "[y, part]", "group_column": "who", "split_column": "part"}
    assert collect(tmp_path / "run", **options, **changed) == EXIT_DONE
    assert read_declarations(tmp_path / "run") == Declarations(("y", "part"), "who", "part")
    assert (tmp_path / "run" / "store" / "store.json").read_bytes() == begun
    assert len(stores.open_store(tmp_path / "run" / "store")) == len(store) == 1


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({"positions": "mean"}, True),  # the run grows
        ({"sites": "embed"}, True),
        ({"generate": 2}, False),
        ({"seed": 3, "temperature": 1.0}, True),  # nothing is sampled
        ({"batch_size": 1}, True),
        ({"texts": "other"}, False),
    ],
)
def test_what_shapes_numbers_is_in_the_fingerprint(
    llama: Path, tmp_path: Path, changes: dict[str, Any], taken: bool
) -> None:
    table = jsonl(tmp_path / "t.jsonl", [{"text": "a", "y": 1}])
    other = jsonl(tmp_path / "other.jsonl", [{"text": "a", "y": 2}])
    changes = {"texts": other} if "texts" in changes else changes
    assert collect(tmp_path / "run", model=llama, texts=table) == EXIT_DONE
    assert collect(tmp_path / "run", **{"model": llama, "texts": table} | changes) == (
        EXIT_DONE if taken else EXIT_USER
    )


def test_samples_are_made_when_they_are_looked_at(llama: Path, tmp_path: Path) -> None:
    """No object per row: what a batch needs is read from the disk when it is collected."""
    table = jsonl(tmp_path / "t.jsonl", [{"text": "x" * (1 + k % 7), "k": k} for k in range(3000)])
    collector = _collector(llama, table)
    samples = collector.samples()
    assert len(samples) == 3000
    assert [samples[k].tokens for k in (0, 6, 2999, -1)] == [1, 7, 4, 4]
    assert [sample.sample_id for sample in samples[254:258]] == [f"text-{k:06d}" for k in range(254, 258)]
    assert samples[5] == samples[5]
    assert samples[5].payload == 5, "the number of a row in the table on disk"
    assert collector.texts.table.row(2500).values == {"k": 2500}
    assert len(first_groups(samples, 10)) == 10
    held = sum(part.nbytes for part in (collector.texts.table.tokens, collector.texts.table.record))
    assert held == 3000 * 12
    with pytest.raises(IndexError):
        samples[3000]


def test_reading_a_table_takes_memory_for_numbers_alone(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,200 records of 1,500 characters more: the peak grows by some numbers for each, not by their characters.

    Files are read in small blocks here: whether the peak falls on the beginning or the end of a block of 256 KiB
    would be more than all the numbers.
    """
    monkeypatch.setattr(text_bytes, "_BLOCK", 1 << 12)
    peaks = []
    for count in (800, 800, 2000):  # the first time whatever is loaded once is loaded
        table = jsonl(tmp_path / "t.jsonl", [{"text": "ab", "note": f"{k:06d}" * 250} for k in range(count)])
        tracemalloc.start()
        collector = _collector(llama, table)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(collector.samples()) == count
    assert peaks[2] - peaks[1] < 1200 * 100


def test_texts_that_go_through_the_tokenizer_together_are_read_one_by_one(tmp_path: Path) -> None:
    """Several blocks; a record that cannot be used is named by its own line."""
    texts = [f"The {number} cats sat \U0001f600 on mat {number % 7}." for number in range(150)]
    texts[100] = " "
    table = jsonl(tmp_path / "t.jsonl", [{"text": text} for text in texts])
    assert collect(tmp_path / "run", texts=table, malformed="skip", store_states="false") == EXIT_DONE
    store = stores.open_store(tmp_path / "run" / "store")
    assert any("line 101" in note for note in store.provenance["notes"])
    rows, tokens = rows_of(tmp_path / "run"), read_info(ModelSpec("embedded", None, None, "float32", "auto")).tokens
    assert [row["text"] for row in rows] == [text for text in texts if text.strip()]
    for row in rows:
        ids, spans = tokens.encode_with_spans(row["text"])
        assert row["input_ids"] == ids
        assert list(zip(row["char_start"], row["char_end"], strict=True)) == spans


def test_rows_without_states_are_forecast_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert collect(tmp_path / "run", store_states="false", dry_run="true", limit=20) == EXIT_DONE
    output = capsys.readouterr().out
    assert "samples            20 in" in output
    assert re.search(r"bytes on disk +about [1-9]", output)
    assert not (tmp_path / "run").exists()


def _collector(model: Path, table: Path) -> ActivationsCollector:
    options: dict[str, Any] = dict.fromkeys(
        ["id_column", "text_column", "template", "messages_column", "system_prompt", "span_column", "generate"]
    )
    options |= {"malformed": "stop", "quoting": "auto", "chat_options": {}, "too_long": "error"}
    options |= {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "seed": 0, "texts": str(table)}
    return ActivationsCollector(ModelSpec(str(model), None, None, "float32", "auto"), **options)


@pytest.mark.parametrize("side", ["truncate_left", "truncate_right"])
def test_a_bos_stays_in_front_of_a_text_that_is_cut(side: Any) -> None:
    tokens = read_info(ModelSpec("embedded", None, None, "float32", "auto")).tokens
    text = "The cat sat on the mat."
    ids, offsets = tokens.encode_with_spans(text)
    encoder = TextEncoder(tokens, Chat(), 3, side, answers=False, with_offsets=True)
    cut = encoder.encoded(RecordText(text, []))
    kept = offsets[-2:] if side == "truncate_left" else offsets[1:3]
    assert cut.ids == [1, *(ids[-2:] if side == "truncate_left" else ids[1:3])]
    assert cut.offsets[0] == (0, 0)
    assert [cut.text[a:b] for a, b in cut.offsets[1:]] == [text[a:b] for a, b in kept]
    assert cut.text == text[(kept[0][0] if side == "truncate_left" else 0) : kept[-1][1]]
    assert (cut.removed, encoder.truncated) == (text.index(cut.text), 1)


def test_a_full_folder_for_temporary_files_is_said(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    table = jsonl(tmp_path / "t.jsonl", [{"text": "a"}])
    assert collect(tmp_path / "run", model=llama, texts=table) == EXIT_USER
    assert "TMPDIR" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
