"""The shipped treebank is well-formed, big enough, and marks words that their left context leaves open."""

import re
from collections import Counter
from pathlib import Path

import pytest

import lit_experiments.embedded
from lit_experiments.sources.conllu import UPOS
from lit_experiments.sources.treebank import Sentence, read_treebank

FOLDER = Path(lit_experiments.embedded.__file__).parent / "data" / "treebank"
# Penn tags that go with each universal tag, as in English UD.
PENN = {
    "ADJ": "JJ JJR JJS",
    "ADP": "IN RP",
    "ADV": "RB RBR RBS WRB",
    "AUX": "MD VB VBD VBG VBN VBP VBZ",
    "CCONJ": "CC",
    "DET": "DT PDT WDT",
    "INTJ": "UH",
    "NOUN": "NN NNS",
    "NUM": "CD",
    "PART": "TO RB POS",
    "PRON": "PRP PRP$ DT EX NN WDT WP",
    "PROPN": "NNP NNPS",
    "PUNCT": ". , `` ''",
    "SCONJ": "IN",
    "VERB": "VB VBD VBG VBN VBP VBZ",
}


@pytest.fixture(scope="module")
def sentences() -> tuple[Sentence, ...]:
    return read_treebank("embedded").sentences


def test_there_are_enough_sentences_in_each_split(sentences: tuple[Sentence, ...]) -> None:
    sizes = Counter(sentence.split for sentence in sentences)
    assert sum(sizes.values()) >= 320
    assert sizes["train"] >= 220
    assert sizes["validation"] >= 50
    assert sizes["test"] >= 50


def test_documents_hold_8_to_12_sentences_and_lie_in_one_split(sentences: tuple[Sentence, ...]) -> None:
    sizes = Counter(sentence.doc_id for sentence in sentences)
    assert set(sizes.values()) <= set(range(8, 13))
    assert len({(sentence.doc_id, sentence.split) for sentence in sentences}) == len(sizes)
    assert all(s.sent_id.rpartition("-")[0] == s.doc_id for s in sentences)


def test_no_sentence_is_there_twice_and_all_have_5_to_17_words(sentences: tuple[Sentence, ...]) -> None:
    assert len({sentence.text.lower() for sentence in sentences}) == len(sentences)
    assert all(5 <= len(sentence.words) <= 17 for sentence in sentences)


def test_heads_form_a_tree_with_one_root(sentences: tuple[Sentence, ...]) -> None:
    for sentence in sentences:
        heads = {word.id: word.head for word in sentence.words}
        assert list(heads) == list(range(1, len(heads) + 1))
        assert [w.deprel for w in sentence.words if w.head == 0] == ["root"], sentence.sent_id
        assert sum(w.deprel == "root" for w in sentence.words) == 1
        for word in sentence.words:
            seen: set[int] = set()
            at: int | None = word.id
            while at:
                assert at not in seen, f"{sentence.sent_id}: cycle at word {word.id}"
                seen.add(at)
                at = heads[at]


def test_universal_and_penn_tags_agree(sentences: tuple[Sentence, ...]) -> None:
    for sentence in sentences:
        for word in sentence.words:
            assert word.xpos in PENN[word.upos].split(), f"{sentence.sent_id}: {word.form} {word.upos} {word.xpos}"


def test_auxiliaries_particles_and_conjunctions_have_the_relations_that_make_them_so(
    sentences: tuple[Sentence, ...],
) -> None:
    for word in (word for sentence in sentences for word in sentence.words):
        if word.deprel in ("aux", "aux:pass", "cop"):
            assert word.upos == "AUX", word
        if word.xpos == "IN":
            assert (word.upos == "SCONJ") == (word.deprel == "mark"), word
        if word.form.lower() in ("not", "n't"):
            assert word.upos == "PART", word
        if word.upos == "DET" and word.form.lower() in ("this", "that", "these", "those", "what", "which"):
            assert word.deprel in ("det", "det:predet"), word


def test_marked_words_have_one_of_their_tags_and_stand_in_the_comment(sentences: tuple[Sentence, ...]) -> None:
    commented = {}
    for path in FOLDER.glob("*.conllu"):
        for piece in path.read_text(encoding="utf-8").split("\n\n"):
            ids = re.search(r"^# left_ambiguous = ([\d ]+)$", piece, re.M)
            name = re.search(r"^# sent_id = (\S+)$", piece, re.M)
            if name:
                commented[name[1]] = [int(i) for i in ids[1].split()] if ids else []
    for sentence in sentences:
        marked = [word for word in sentence.words if word.left_ambiguous]
        assert [word.id for word in marked] == commented[sentence.sent_id], sentence.sent_id
        for word in marked:
            assert word.upos in word.left_ambiguous
            assert len(set(word.left_ambiguous)) == len(word.left_ambiguous) >= 2
            assert set(word.left_ambiguous) <= set(UPOS)


def test_many_words_are_marked_in_every_split(sentences: tuple[Sentence, ...]) -> None:
    marked = Counter(s.split for s in sentences for w in s.words if w.left_ambiguous)
    words = Counter(s.split for s in sentences for w in s.words)
    assert sum(marked.values()) >= 60
    assert all(marked[split] / words[split] > 0.1 for split in words)


def test_the_same_opening_goes_on_with_different_tags(sentences: tuple[Sentence, ...]) -> None:
    """Otherwise a tagger of the left context alone would have nothing to be unsure of."""
    tags: dict[str, set[str]] = {}
    for sentence in sentences:
        for word in sentence.words:
            if word.left_ambiguous:
                tags.setdefault(sentence.text[: word.end].lower(), set()).add(word.upos)
    assert sum(len(distinct) > 1 for distinct in tags.values()) >= 20


def test_the_conllu_package_reads_the_same(sentences: tuple[Sentence, ...]) -> None:
    conllu = pytest.importorskip("conllu")
    theirs = [s for part in ("train", "dev", "test") for s in conllu.parse((FOLDER / f"{part}.conllu").read_text())]
    for ours, other in zip(sentences, theirs, strict=True):
        assert other.metadata["text"] == ours.text
        tokens = [token for token in other if isinstance(token["id"], int)]
        assert [t["upos"] for t in tokens] == [word.upos for word in ours.words]
        other.to_tree()
