"""Documentation English: what counts as prose, and a split that doesn't leak."""

from __future__ import annotations

import re

from lit_experiments.embedded import text


def test_wrapped_lines_quotes_and_marks_become_one_plain_line():
    raw = "Return ``x`` if *y* is\n    given, or a \u201cdefault\u201d non-\n    empty value \u2014 see :class:`dict`."
    assert text.normalise(raw) == 'Return "x" if y is given, or a "default" non-empty value - see "dict".'


def test_only_prose_paragraphs_are_kept_and_bullets_are_split():
    raw = (
        "A heading\n=========\n\n"
        "The first paragraph says\nsomething useful.\n\n"
        "    >>> f(x)\n    {'a': 1}\n\n"
        "* The first item of a list.\n* The second item of a list.\n\n"
        "def f(x): return {x: x + 1}."
    )
    assert text.paragraphs(raw) == [
        "The first paragraph says something useful.",
        "The first item of a list.",
        "The second item of a list.",
    ]


def test_the_installation_gives_over_a_megabyte_of_distinct_paragraphs(documents):
    paragraphs = [p for document in documents for p in document.paragraphs]
    assert sum(map(len, paragraphs)) > 1_000_000
    assert len(set(paragraphs)) == len(paragraphs)
    assert not any("\n" in p for p in paragraphs)


def test_the_split_is_a_fixed_function_of_the_name():
    names = ["topics/assert", "topics/dict", "json", "random", "argparse", "os"]
    assert [text.is_held_out(name) for name in names] == [False, True, True, True, False, False]


def test_held_out_and_training_share_no_document_and_no_long_run_of_words(split):
    training, held_out = split
    assert {d.name for d in training}.isdisjoint(d.name for d in held_out)

    def runs(documents):
        for document in documents:
            for paragraph in document.paragraphs:
                words = re.findall(r"\w+", paragraph.lower())
                yield from (" ".join(words[i : i + 12]) for i in range(len(words) - 11))

    assert set(runs(held_out)).isdisjoint(runs(training))
    assert sum(len(p) for d in held_out for p in d.paragraphs) > 80_000


def test_pieces_keep_every_paragraph_in_order():
    document = text.Document("name", ("a" * 30, "b" * 30, "c" * 90, "d" * 10))
    assert text.pieces(document, 70) == ["a" * 30 + "\n\n" + "b" * 30, "c" * 90, "d" * 10]


def test_the_source_hash_changes_with_any_paragraph():
    one, other = text.Document("n", ("a", "b")), text.Document("n", ("a", "c"))
    assert text.source_hash([one]) == text.source_hash([one]) != text.source_hash([other])
