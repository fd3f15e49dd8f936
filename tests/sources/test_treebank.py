"""Reading CoNLL-U: spans into the text, documents and splits, and the one message for each malformed sentence."""

from pathlib import Path

import pytest

from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.treebank import Sentence, Treebank, read_treebank

EWT = Path(__file__).parents[3] / "shared" / "data" / "ud_english_ewt"


def row(ident: object, form: str, upos: str = "NOUN", head: object = 0, misc: str = "_") -> str:
    return "\t".join([str(ident), form, form.lower(), upos, "_", "_", str(head), "dep", "_", misc])


def block(*lines: str) -> str:
    return "\n".join(lines) + "\n\n"


def read(tmp_path: Path, content: str | bytes, malformed: str = "stop") -> Treebank:
    path = tmp_path / "some.conllu"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_treebank(str(path), malformed)


def slices(sentence: Sentence) -> list[str]:
    return [sentence.text[word.start : word.end] for word in sentence.words]


DONT = block(
    "# sent_id = d-1",
    "# text = I don't know.",
    row(1, "I", "PRON", 4),
    row("2-3", "don't", "_", "_"),
    row(2, "do", "AUX", 4),
    row(3, "n't", "PART", 4),
    row(4, "know", "VERB", 0, "SpaceAfter=No"),
    row(5, ".", "PUNCT", 4),
)


def test_words_of_a_contraction_share_its_span_and_know_their_own_part(tmp_path: Path) -> None:
    (sentence,) = read(tmp_path, DONT).sentences
    assert slices(sentence) == ["I", "don't", "don't", "know", "."]
    assert [w.multiword for w in sentence.words] == [None, (2, 3), (2, 3), None, None]
    assert [w.last_in_multiword for w in sentence.words] == [False, False, True, False, False]
    assert [sentence.text[slice(*w.part)] for w in sentence.words if w.part] == ["I", "do", "n't", "know", "."]


def test_a_multiword_token_that_does_not_add_up_has_no_parts(tmp_path: Path) -> None:
    text = block("# text = vai al mare", row(1, "vai", "VERB"), row("2-3", "al"), row(2, "a", "ADP", 1))
    text = text.rstrip("\n") + "\n" + block(row(3, "il", "DET", 4), row(4, "mare", "NOUN", 1))
    (sentence,) = read(tmp_path, text).sentences
    assert slices(sentence) == ["vai", "al", "al", "mare"]
    assert [w.part for w in sentence.words] == [(0, 3), None, None, (7, 11)]


def test_space_after_no_on_a_multiword_token_and_a_word_behind_it(tmp_path: Path) -> None:
    lines = [row("1-2", "can't", misc="SpaceAfter=No"), row(1, "ca", "AUX"), row(2, "n't", "PART", 1)]
    (sentence,) = read(tmp_path, block("# text = can't!", *lines, row(3, "!", "PUNCT", 1))).sentences
    assert slices(sentence) == ["can't", "can't", "!"]


def test_empty_nodes_are_skipped_wherever_they_stand(tmp_path: Path) -> None:
    empty = [row("0.1", "ghost"), row("1.1", "ghost"), row("1.2", "ghost")]
    text = block("# text = a b", empty[0], row(1, "a"), *empty[1:], row(2, "b", head=1))
    assert [w.form for w in read(tmp_path, text).sentences[0].words] == ["a", "b"]


def test_offsets_count_characters_not_bytes(tmp_path: Path) -> None:
    lines = [row(1, "«", "PUNCT", 2, "SpaceAfter=No"), row(2, "naïve", "ADJ", 1)]
    lines += [row(3, "👩‍🚀", "SYM", 1, "SpaceAfter=No"), row(4, "日本", "PROPN", 1)]
    (sentence,) = read(tmp_path, block("# text = «naïve 👩‍🚀日本", *lines)).sentences
    assert slices(sentence) == ["«", "naïve", "👩‍🚀", "日本"]
    assert sentence.words[3].start == 10


def test_forms_may_hold_spaces_and_gaps_may_be_any_white_space(tmp_path: Path) -> None:
    text = block("# text = 10 000\u00a0 birds", row(1, "10 000", "NUM", 2), row(2, "birds"))
    (sentence,) = read(tmp_path, text).sentences
    assert slices(sentence) == ["10 000", "birds"]


def test_without_a_text_comment_the_text_is_rebuilt(tmp_path: Path) -> None:
    text = "\n".join(line for line in DONT.split("\n") if not line.startswith("# text"))
    (sentence,) = read(tmp_path, text).sentences
    assert sentence.text == "I don't know."
    assert slices(sentence)[1] == "don't"


def test_line_ends_byte_order_mark_and_missing_last_blank_line_change_nothing(tmp_path: Path) -> None:
    plain = read(tmp_path, DONT)
    for data in (DONT.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + DONT.encode(), DONT.rstrip("\n").encode()):
        assert read(tmp_path, data).digest == plain.digest


def test_the_digest_follows_a_single_tag(tmp_path: Path) -> None:
    assert read(tmp_path, DONT).digest != read(tmp_path, DONT.replace("AUX", "VERB")).digest


def test_documents_come_from_newdoc_else_from_the_sentence_id(tmp_path: Path) -> None:
    one = row(1, "a")
    named = block("# newdoc id = D", "# sent_id = x-1", one) + block("# sent_id = x-2", one)
    named += block("# newdoc", "# sent_id = x-3", one)
    assert [s.doc_id for s in read(tmp_path, named).sentences] == ["D", "D", "some-doc3"]
    unnamed = block("# sent_id = x-y-1", one) + block("# sent_id = z", one) + block(one)
    sentences = read(tmp_path, unnamed).sentences
    assert [s.doc_id for s in sentences] == ["x-y", "z", "some-3"]
    assert sentences[2].sent_id == "some-3"


def test_a_skipped_sentence_still_opens_its_document(tmp_path: Path) -> None:
    text = block("# newdoc id = A", row(1, "a")) + block("# newdoc id = B", "broken") + block(row(1, "b"))
    bank = read(tmp_path, text, "skip")
    assert [s.doc_id for s in bank.sentences] == ["A", "B"]


GOOD = block("# sent_id = g-1", row(1, "fine"))
CASES = {
    "columns": ("1\tx\tx", "line 5: 3 columns instead of 10"),
    "columns by spaces": ("1 x x NOUN _ _ 0 root _ _", "separated by spaces instead of tabs"),
    "id": (row(2, "x"), 'line 5: ID "2" out of order: expected 1'),
    "id zero": (row(0, "x"), 'ID "0" out of order'),
    "id word": (row("one", "x"), 'ID "one" out of order'),
    "id open multiword": (row("1-2", "xy") + "\n" + row(1, "x"), "the sentence ends with word 1"),
    "id backward multiword": (row("2-1", "xy") + "\n" + row(1, "x"), 'ID "2-1"'),
    "id empty node": (row(1, "x") + "\n" + row("1.2", "y"), "an empty node here is 1.1"),
    "form": (row(1, ""), "FORM is empty"),
    "head": (row(1, "x", head=2), 'HEAD "2" of word 1; allowed: 0 to 1'),
    "head itself": (row(1, "x", head=1), 'HEAD "1" of word 1'),
    "head word": (row(1, "x", head="root"), 'HEAD "root"'),
    "head negative": (row(1, "x", head=-1), 'HEAD "-1"'),
    "tag": (row(1, "x", "NN"), 'UPOS "NN" of "x" is not one of ADJ'),
    "tag of a lower-case name": (row(1, "x", "noun"), 'UPOS "noun"'),
    "text": ("# text = y\n" + row(1, "x"), 'line 6: FORM "x" where # text has "y" (character 0)'),
    "text too long": ("# text = x y\n" + row(1, "x"), '# text goes on with "y"'),
    "text without the space": ("# text = xy\n" + row(1, "x") + "\n" + row(2, "y"), 'say a space after "x"'),
    "text with a space": (
        "# text = x y\n" + row(1, "x", misc="SpaceAfter=No") + "\n" + row(2, "y"),
        "no space (SpaceAfter=No)",
    ),
    "words": ("# text = nothing here", "a sentence without words"),
    "sent_id": ("# sent_id = g-1\n" + row(1, "x"), 'sent_id "g-1" repeats the one of'),
}


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_sentence_stops_with_file_and_line_or_is_skipped_and_counted(tmp_path: Path, name: str) -> None:
    bad, reason = CASES[name]
    text = GOOD + block("# note = any", bad) + block(row(1, "after"))
    with pytest.raises(SourceError, match=r"some\.conllu, line \d+: ") as caught:
        read(tmp_path, text)
    assert reason in str(caught.value)
    assert "--malformed skip" in str(caught.value)
    bank = read(tmp_path, text, "skip")
    assert [s.text for s in bank.sentences] == ["fine", "after"]
    assert dict(bank.skipped.reasons) == {name.split()[0]: 1}


def test_bytes_that_are_not_utf8_are_a_malformed_sentence(tmp_path: Path) -> None:
    data = GOOD.encode() + row(1, "café").encode("latin-1") + b"\n\n" + row(1, "after").encode()
    with pytest.raises(SourceError, match=r"line 4: not UTF-8 \(byte 0xe9 at column 6\)"):
        read(tmp_path, data)
    bank = read(tmp_path, data, "skip")
    assert [s.text for s in bank.sentences] == ["fine", "after"]
    assert bank.skipped.examples[0].endswith("line 4: not UTF-8 (byte 0xe9 at column 6).")


def test_every_skipped_sentence_is_counted_but_only_the_first_few_are_kept(tmp_path: Path) -> None:
    bank = read(tmp_path, GOOD + block(row(1, "x", "NN")) * 7 + block("x") * 2, "skip")
    assert bank.skipped.count == 9
    assert dict(bank.skipped.reasons) == {"tag": 7, "columns": 2}
    assert len(bank.skipped.examples) == 5


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b" \n\n", "is empty"), (b"1\tx\0", "binary"), (b"x\n\ny\n", "no usable sentence")],
)
def test_unusable_files_are_an_error_even_when_skipping(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=r"some\.conllu") as caught:
        read(tmp_path, content, "skip")
    assert reason in str(caught.value)


def test_what_is_not_there_or_not_allowed_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"Treebank not found: .*nowhere\.conllu"):
        read_treebank(str(tmp_path / "nowhere.conllu"))
    with pytest.raises(SourceError, match=r'malformed = "ignore" is not one of: stop, skip'):
        read_treebank("embedded", "ignore")
    with pytest.raises(SourceError, match="2 treebank files given"):
        read_treebank(["a.conllu", "b.conllu"])
    (tmp_path / "other.conllu").write_text(GOOD)
    with pytest.raises(SourceError, match=r"no \*train\*\.conllu.*it has: other\.conllu"):
        read_treebank(str(tmp_path))
    with pytest.raises(SourceError, match=r'no sentences of split "test"; it has: all'):
        read_treebank(str(tmp_path / "other.conllu")).split("test")
    (tmp_path / "train-test.conllu").write_text(GOOD)
    with pytest.raises(SourceError, match="the name says test and train"):
        read_treebank(str(tmp_path))


def test_a_folder_and_three_files_give_the_same_splits(tmp_path: Path) -> None:
    for name, word in (("x-test", "c"), ("x-dev", "b"), ("x-train", "a"), ("notes", "z")):
        (tmp_path / f"{name}.conllu").write_text(block(f"# sent_id = {word}-1", row(1, word)))
    folder = read_treebank(str(tmp_path))
    assert [(s.split, s.text) for s in folder.sentences] == [("train", "a"), ("validation", "b"), ("test", "c")]
    paths = [str(tmp_path / f"x-{part}.conllu") for part in ("train", "dev", "test")]
    assert read_treebank(paths).digest == folder.digest
    assert read_treebank(",".join(paths)).digest == folder.digest
    assert read_treebank(paths[1]).splits == ("validation",)


def test_words_equal_what_the_conllu_package_reads(tmp_path: Path) -> None:
    conllu = pytest.importorskip("conllu")
    text = DONT + block("# text = a b", row(1, "a"), row("1.1", "ghost"), row(2, "b", head=1))
    for ours, theirs in zip(read(tmp_path, text).sentences, conllu.parse(text), strict=True):
        assert ours.text == theirs.metadata["text"]
        plain = [token for token in theirs if isinstance(token["id"], int)]
        assert [(w.id, w.form, w.upos, w.head) for w in ours.words] == [
            (token["id"], token["form"], token["upos"], token["head"]) for token in plain
        ]


@pytest.mark.skipif(not EWT.is_dir(), reason="the folder ../shared is not there")
def test_a_real_treebank_is_read_whole_and_every_span_is_its_form(tmp_path: Path) -> None:
    bank = read_treebank(str(EWT / "en_ewt-ud-dev.conllu"))
    raw = (EWT / "en_ewt-ud-dev.conllu").read_text(encoding="utf-8")
    assert len(bank.sentences) == raw.count("# sent_id = ")
    assert len({s.doc_id for s in bank.sentences}) == raw.count("# newdoc id = ")
    assert sum(len(s.words) for s in bank.sentences) == sum(
        line.split("\t")[0].isdigit() for line in raw.split("\n") if not line.startswith("#")
    )
    for sentence in bank.sentences:
        for word in sentence.words:
            assert word.multiword or sentence.text[word.start : word.end] == word.form


@pytest.mark.skipif(not EWT.is_dir(), reason="the folder ../shared is not there")
def test_a_real_treebank_equals_what_the_conllu_package_reads() -> None:
    conllu = pytest.importorskip("conllu")
    theirs = conllu.parse((EWT / "en_ewt-ud-test.conllu").read_text(encoding="utf-8"))
    ours = read_treebank(str(EWT / "en_ewt-ud-test.conllu")).sentences
    for mine, other in zip(ours, theirs, strict=True):
        tokens = [token for token in other if isinstance(token["id"], int)]
        assert [(w.form, w.lemma, w.upos, w.xpos) for w in mine.words] == [
            (token["form"], token["lemma"], token["upos"], token["xpos"]) for token in tokens
        ]
