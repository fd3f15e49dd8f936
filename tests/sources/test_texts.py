"""Which text a record gives: a column, a template, a conversation, a contrast pair; and what is wrong with it."""

from typing import Any

import pytest

from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.texts import TextOptions, text_form
from lit_experiments.sources.values import BadValueError

USER = {"role": "user", "content": "Hi"}


def texts(record: dict[str, Any], **options: Any) -> list[Any]:
    return text_form(TextOptions(**options), None, "table").texts(record)


def test_a_column_is_the_text_as_it_is() -> None:
    assert texts({"body": "  two  spaces "}, text_column="body")[0].text == "  two  spaces "


@pytest.mark.parametrize("name", ["text", "sentence", "question"])
def test_a_usual_name_is_enough(name: str) -> None:
    form = text_form(TextOptions(), None, "table")
    assert form.texts({"id": "1", name: "Hello"})[0].text == "Hello"
    assert form.consumed == (name,)


@pytest.mark.parametrize(
    ("template", "text", "start"),
    [
        ("{title}\\n\\n{body}", "One\n\nA b", 5),
        ("{title}\n{body}", "One\nA b", 4),
        ("{{{title}}} {body}\\\\n", "{One} A b\\n", 6),
        ("{body}", "A b", 0),
        ("{an odd-name!} {body} {n} {ok}", None, None),
        ("{my name} {body} {n} {ok}", "x A b 3 true", 2),
    ],
)
def test_a_template_holds_the_columns_values(template: str, text: str | None, start: int | None) -> None:
    record = {"title": "One", "body": "A b", "n": 3, "ok": True, "my name": "x"}
    if text is None:
        with pytest.raises(SourceError, match="template"):
            texts(record, template=template, text_column="body")
        return
    (made,) = texts(record, template=template, text_column="body")
    assert (made.text, made.start) == (text, start)
    assert made.text[made.start :].startswith("A b")


@pytest.mark.parametrize("value", ["Hi", [USER], '[{"role": "user", "content": "Hi"}]'])
def test_a_conversation_may_be_turns_or_their_json_or_one_turn(value: Any) -> None:
    (made,) = texts({"chat": value}, messages_column="chat")
    assert made.turns == [USER]


@pytest.mark.parametrize(
    ("columns", "names"), [(("true", "false"), ["true", "false"]), ((True, False), ["true", "false"])]
)
def test_a_pair_gives_two_texts_labelled_by_column(columns: tuple[Any, ...], names: list[str]) -> None:
    pair = texts({"true": "It is.", "false": "It is not."}, pair_columns=columns)
    assert [(made.label, made.text) for made in pair] == list(zip(names, ["It is.", "It is not."], strict=True))


def test_yaml_s_truth_values_find_columns_in_any_case() -> None:
    pair = texts({"Yes": "a", "FALSE": "b"}, pair_columns=(True, False))
    assert [made.label for made in pair] == ["Yes", "FALSE"]


@pytest.mark.parametrize(
    ("record", "options", "says"),
    [
        ({"text": " \n"}, {}, "blank"),
        ({"text": 3}, {}, "must be text, found int"),
        ({"text": None}, {"text_column": "text"}, "null"),
        ({"txt": "a"}, {"text_column": "text"}, "nearest"),
        ({"half": "\ud83d"}, {"text_column": "half"}, "half a character"),
        ({"a": "x"}, {"template": "{b}"}, 'no key "b"'),
        ({"a": None}, {"template": "{a}!"}, "null"),
        ({"a": " "}, {"template": "{a}"}, "blank"),
        ({"a": ["x"]}, {"template": "{a}"}, "list"),
        ({"m": []}, {"messages_column": "m"}, "list of turns"),
        ({"m": [{"content": "x"}]}, {"messages_column": "m"}, "turn 0: must have a role"),
        ({"m": [USER, {"role": "bot", "content": "x"}]}, {"messages_column": "m"}, 'turn 1: unknown role "bot"'),
        ({"m": [{"role": "user", "content": ""}]}, {"messages_column": "m"}, "blank"),
        ({"a": "x", "b": ""}, {"pair_columns": ("a", "b")}, '"b" is blank'),
    ],
)
def test_a_record_without_a_text_says_why(record: dict[str, Any], options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadValueError, match=says):
        texts(record, **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"text_column": "a", "messages_column": "b"}, "--text_column and --messages_column"),
        ({"template": "{a}", "pair_columns": ("a", "b")}, "--template and --pair_columns"),
        ({"pair_columns": ("a", "a")}, "two columns"),
        ({"pair_columns": ("a",)}, "two columns"),
        ({"template": "no column"}, "needs columns"),
        ({"template": "{a:>4}"}, "needs columns"),
        ({"template": "{a!r}"}, "needs columns"),
        ({"template": "{a"}, "brace"),
        ({"template": "{a}", "text_column": "b"}, "must stand in --template once"),
        ({"template": "{a}{a}", "text_column": "a"}, "must stand in --template once"),
    ],
)
def test_contradictory_options_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(SourceError, match=says):
        text_form(TextOptions(**options), None, "table")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"text_column": "bodi"}, r"body.*\n.*--text_column"),
        ({"template": "{titel}"}, r"title.*\n.*--template"),
        ({"pair_columns": ("body", "no")}, r"body.*\n.*--pair_columns"),
        ({}, "--text_column"),
    ],
)
def test_columns_that_a_source_fixes_are_looked_for_at_once(options: dict[str, Any], says: str) -> None:
    with pytest.raises(SourceError, match=says):
        text_form(TextOptions(**options), ("title", "body"), "table.csv")
