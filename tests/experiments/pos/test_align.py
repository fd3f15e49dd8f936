"""Words and tokens by characters: hand-made sentences, and real tokenizers on whole treebanks."""

from pathlib import Path

import pytest

from lit_experiments.experiments.pos.align import NEXT_WORD, NO_PLACE, NO_TOKEN, Aligned, align
from lit_experiments.experiments.pos.sentences import TAGS, Tally, label
from lit_experiments.lm.info import read_info
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.sources.conllu import Line, parse_sentence
from lit_experiments.sources.treebank import Sentence, read_treebank

SHARED = Path(__file__).parents[4] / "shared"
MODELS = ["embedded", str(SHARED / "models" / "stories260K-hf")]


def sentence(text: str, *rows: str) -> Sentence:
    """Rows "ID FORM UPOS", SpaceAfter worked out from the text."""
    lines, position, covered = [Line(1, f"# text = {text}")], 0, 0
    for number, row in enumerate(rows, 2):
        identity, form, tag = row.split()
        misc = "_"
        if "." not in identity and (covered < int(identity.split("-")[0])):
            position = text.index(form, position) + len(form)
            misc = "_" if text[position : position + 1] in (" ", "") else "SpaceAfter=No"
            covered = int(identity.split("-")[-1])
        lines.append(Line(number, "\t".join([identity, form, "_", tag, "_", "_", "_", "_", "_", misc])))
    block = parse_sentence(lines)
    return Sentence("s1", "d1", "newdoc", "train", block.text, block.words)


def aligned(text: str, tokens: list[str], *rows: str) -> list:
    """[(form, its tokens) or (form, reason)]; tokens are consecutive pieces of the text."""
    spans, position = [(0, 0)], 0
    for token in tokens:
        assert text.startswith(token, position)
        spans.append((position, position + len(token)))
        position += len(token)
    out = []
    for place in align(sentence(text, *rows).words, spans):
        if isinstance(place, Aligned):
            out.append((place.word.form, [tokens[i - 1] for i in place.positions("mean")]))
            assert place.positions("first") == [place.first]
            assert place.positions("last") == [place.last]
        else:
            out.append((place.word.form, place.reason))
    return out


def test_contractions_that_tokens_split_where_words_do() -> None:
    rows = ["1 I PRON", "2-3 can't _", "2 ca AUX", "3 n't PART", "4 go VERB"]
    expected = [("I", ["I"]), ("ca", [" ca"]), ("n't", ["n't"]), ("go", [" go"])]
    assert aligned("I can't go", ["I", " ca", "n't", " go"], *rows) == expected


def test_contractions_that_tokens_split_elsewhere_leave_the_first_word_without_a_state_of_its_own() -> None:
    rows = ["1 I PRON", "2-3 can't _", "2 ca AUX", "3 n't PART", "4 go VERB"]
    expected = [("I", ["I"]), ("ca", NEXT_WORD), ("n't", [" can", "'t"]), ("go", [" go"])]
    assert aligned("I can't go", ["I", " can", "'t", " go"], *rows) == expected


def test_punctuation_glued_to_words_and_to_itself() -> None:
    rows = ["1 He PRON", "2 left VERB", "3 . PUNCT", '4 " PUNCT']
    assert aligned('He left."', ["He", " le", "ft", ".", '"'], *rows)[1:] == [
        ("left", [" le", "ft"]),
        (".", ["."]),
        ('"', ['"']),
    ]
    assert aligned('He left."', ["He", " left", '."'], *rows)[2:] == [(".", NEXT_WORD), ('"', ['."'])]


def test_spaces_may_lead_trail_or_be_tokens_of_their_own() -> None:
    rows = ["1 a DET", "2 bee NOUN"]
    assert aligned("a  bee", ["a", " ", " bee"], *rows) == [("a", ["a"]), ("bee", [" bee"])]
    assert aligned("a  bee", ["a", "  ", "be", "e"], *rows) == [("a", ["a"]), ("bee", ["be", "e"])]
    assert aligned("a  bee", ["a ", " bee"], *rows)[0] == ("a", NEXT_WORD)


def test_an_emoji_of_several_byte_tokens_carries_its_label_at_the_last() -> None:
    words = sentence("hi \U0001f600 x", "1 hi X", "2 \U0001f600 X", "3 x X").words
    tokens = [(0, 2), (2, 4), (3, 4), (3, 4), (4, 6)]
    place = align(words, tokens)[1]
    assert isinstance(place, Aligned)
    assert (place.first, place.last) == (1, 3)


def test_multiword_tokens_whose_words_do_not_add_up_and_empty_nodes() -> None:
    rows = ["1 va VERB", "2-3 du _", "2 de ADP", "3 le DET", "3.1 x _", "4 parc NOUN"]
    got = aligned("va du parc", ["va", " du", " parc"], *rows)
    assert got == [("va", ["va"]), ("de", NO_PLACE), ("le", NO_PLACE), ("parc", [" parc"])]


def test_a_word_that_no_token_covers_is_named() -> None:
    words = sentence("a b", "1 a DET", "2 b NOUN").words
    assert [getattr(p, "reason", None) for p in align(words, [(0, 1)])] == [None, NO_TOKEN]
    assert [getattr(p, "reason", None) for p in align(words, [])] == [NO_TOKEN, NO_TOKEN]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("treebank", ["embedded", str(SHARED / "data" / "ud_english_ewt" / "en_ewt-ud-dev.conllu")])
def test_every_word_of_a_treebank_is_labelled_once_or_counted(model: str, treebank: str) -> None:
    if not all(name == "embedded" or Path(name).exists() for name in (model, treebank)):
        pytest.skip("the folder ../shared is not there")
    info = read_info(ModelSpec(model, None, None, "float32", "auto"))
    bank, tally = read_treebank(treebank), Tally()
    for number, parsed in enumerate(bank.sentences):
        got = label(parsed, number, info, ["SYM", "INTJ"])
        tally.add(got)
        lasts = [place.last for place in got.words]
        assert lasts == sorted(set(lasts)), "two words share their last token"
        ids, spans = info.tokens.encode_with_spans(parsed.text)
        for place in got.words:
            start, end = place.span
            assert parsed.text[start:end] == place.word.form
            assert spans[place.last][1] == end
            assert info.tokens.decode(ids[: place.last + 1]).endswith(place.word.form)
        assert all(place.word.upos in TAGS for place in got.words)
    assert tally.words == sum(len(parsed.words) for parsed in bank.sentences)
    assert tally.labelled + tally.excluded.total() + tally.unaligned.total() == tally.words
    assert tally.labelled > 0.97 * tally.words
    assert len(tally.notes(bank.name, len(bank.sentences))) >= 2
