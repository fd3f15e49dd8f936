"""Options follow a class's bases and `**kwargs`, read from the source as jsonargparse reads them from the class."""

import sys
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from lit_experiments.cli import configs
from lit_experiments.cli.class_values import import_class
from lit_experiments.cli.parser import resolve, select
from lit_experiments.cli.signatures import arguments
from lit_experiments.errors import UserError

PARENT = "from lit_experiments.experiments.tempnorm.collect import TempnormCollector\n"
STUDIES = """\
from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import kinds_parent as parent
from kinds_parent import *
from kinds_parent import Parent as Renamed


class Bare(Renamed):
    version = 9


class Wider(parent.Parent):
    def __init__(self, label: str, **kwargs) -> None:
        '''Adds a label.

        Args:
            label: A name.
        '''
        super().__init__(**kwargs)


class Fixed(Renamed):
    def __init__(self, label: str, **rest) -> None:
        super().__init__(1, second="set here", **rest)


class Closed(Renamed):
    def __init__(self, label: str) -> None:
        super().__init__(1, "b")


class Grandchild(Wider):
    def __init__(self, depth: int = 2, **kwargs) -> None:
        super().__init__(**kwargs)


class Mixed(Starred):
    pass


@dataclass
class Data:
    '''Holds values.

    Attributes:
        size: How large.
    '''

    size: int
    name: str = "x"


@dataclasses.dataclass
class More(Data):
    colour: str = "red"
"""
KINDS_PARENT = """\
class Parent:
    def __init__(self, first: int, second: str, *, third: float = 3.0) -> None:
        '''Takes three.

        Args:
            first: The first.
            second: The second,
                on two lines.
            third: The third.
        '''


if True:
    class Starred:
        def __init__(self, only: bool) -> None:
            pass
"""


@pytest.fixture
def kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of a user's classes."""
    (tmp_path / "kinds_parent.py").write_text(KINDS_PARENT)
    (tmp_path / "kinds.py").write_text(STUDIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("kinds", "kinds_parent"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "kinds"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Bare", ["first", "second", "third"]),
        ("Wider", ["label", "first", "second", "third"]),
        ("Fixed", ["label", "third"]),
        ("Closed", ["label"]),
        ("Grandchild", ["depth", "label", "first", "second", "third"]),
        ("Mixed", ["only"]),
        ("Data", ["size", "name"]),
    ],
)
def test_options_of_a_user_s_class_are_those_that_jsonargparse_finds(
    kinds: str, name: str, expected: list[str]
) -> None:
    class_path = f"{kinds}.{name}"
    assert [a.name for a in arguments(class_path)] == expected
    assert ArgumentParser().add_class_arguments(import_class(class_path)) == expected


def test_the_help_comes_from_the_class_that_documents_the_option(kinds: str) -> None:
    texts = {a.name: a.help for a in arguments(f"{kinds}.Grandchild")}
    assert texts["label"] == "A name."
    assert texts["second"] == "The second, on two lines."
    assert {a.name: a.help for a in arguments(f"{kinds}.Data")}["size"] == "How large."


def test_nothing_of_the_user_s_is_imported_for_it(kinds: str) -> None:
    arguments(f"{kinds}.Wider")
    assert kinds not in sys.modules


@pytest.mark.parametrize(("verb", "name"), [(verb, name) for verb in configs.VERBS for name in configs.available(verb)])
def test_options_of_every_study_are_those_that_jsonargparse_finds(verb: str, name: str) -> None:
    class_path = configs.load(verb, name, None)[0]["class_path"]
    names = ArgumentParser().add_class_arguments(import_class(class_path), skip={"spec"})
    assert [a.name for a in arguments(class_path)] == names


def test_a_variant_of_a_study_takes_the_study_s_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "variant_study.py").write_text(f"{PARENT}\n\nclass Variant(TempnormCollector):\n    version = 99\n")
    folder = tmp_path / "configs" / "collect"
    folder.mkdir(parents=True)
    shipped = configs.find("collect", "tempnorm").read_text()
    parent = "lit_experiments.experiments.tempnorm.collect.TempnormCollector"
    (folder / "variant.yaml").write_text(shipped.replace(parent, "variant_study.Variant"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    resolved = resolve("collect", select("collect", ["--exp", "variant", "--gen_number", "3"]))
    assert resolved.class_path == "variant_study.Variant"
    assert resolved.init_args["gen_number"] == 3
    with pytest.raises(UserError, match='Did you mean "gen_number"'):
        resolve("collect", select("collect", ["--exp", "variant", "--gen_numbr", "3"]))


@pytest.mark.parametrize("exp", ["tempnorm", "prefill_dynamics", "pos_tokens", "pos_resample"])
def test_the_options_of_a_collection_are_those_of_its_yaml_in_that_order_and_all_are_explained(exp: str) -> None:
    """Some come from a base class: none is lost, none is without a word of help."""
    shipped = configs.load("collect", exp, None)[0]
    options = arguments(shipped["class_path"])
    assert [option.name for option in options] == list(shipped["init_args"])
    assert all(option.type and option.help for option in options)
