"""Words of a continuation, the end of its sentence, and whether it goes on with the target word."""

import pytest

from lit_experiments.experiments.pos.running_text import continued, sentence_end, words_of


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in words_of(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't know, she's gone.", "I do n't know , she 's gone ."),
        ("U.S. firms can't pay $1,000.50 (at 10:30)!", "U.S. firms ca n't pay $ 1,000.50 ( at 10:30 ) !"),
        ("cannot... a well-known co\u2019s x--y", "can not ... a well - known co \u2019s x -- y"),
        ('Mr. Smith said "no"?!', 'Mr. Smith said " no " ?!'),
        ("see www.x.org/a or a.b@c.de", "see www.x.org/a or a.b@c.de"),
        ("\U0001f600 na\u00efve\n\tdogs'", "\U0001f600 na\u00efve dogs '"),
        ("", ""),
    ],
)
def test_words_are_cut_as_the_treebank_cuts_them(text: str, words: str) -> None:
    assert split(text) == words.split()


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (" ran. He", " ran."),
        (' ran." He', ' ran."'),
        (" ran\nHe", " ran"),
        (" costs 3.5 at Mr. Y's! So", " costs 3.5 at Mr. Y's!"),
        (" goes on and", " goes on and"),
        ("\n\nNew", ""),
    ],
)
def test_a_sentence_ends_at_its_stop_or_line_break(text: str, first: str) -> None:
    assert text[: sentence_end(text)] == first


@pytest.mark.parametrize(
    ("word", "text", "made", "following"),
    [
        ("book", " is good. More", "book", ["is", "good", "."]),
        ("book", "s are good", "books", ["are", "good"]),
        ("book", "", "book", []),
        ("book", ".", "book", ["."]),
        ("book", "'s cover", "book", ["'s", "cover"]),
        ("rock", "-solid", "rock", ["-", "solid"]),
        ("do", "n't go", "do", ["n't", "go"]),
        ("ca", "n't go", "ca", ["n't", "go"]),
        ("can", "not go", "can", ["not", "go"]),
        ("3", ".5 kg", "3.5", ["kg"]),
        (".", ".. and", "...", []),
        (":-)", " hello", ":-)", ["hello"]),
        ("gon", "na go", "gonna", ["go"]),
    ],
)
def test_a_continuation_may_go_on_with_the_word_itself(word: str, text: str, made: str, following: list[str]) -> None:
    continuation = continued(word, text)
    assert (continuation.word, list(continuation.following)) == (made, following)
    assert continuation.extended == (made != word)
