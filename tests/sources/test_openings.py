"""The embedded openings say truly what comes next in their sentences."""

from pathlib import Path

import lit_experiments.sources.treebank as treebank
from lit_experiments.sources.texts import DECLARED, open_texts

FOLDER = Path(treebank.__file__).parent.parent / "embedded" / "data" / "treebank"


def sentences() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """sent_id -> (text, (form, upos) of its words), read line by line."""
    by_id: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for path in FOLDER.glob("*.conllu"):
        for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
            comments = dict(line[2:].split(" = ", 1) for line in block.splitlines() if line.startswith("# "))
            cells = [line.split("\t") for line in block.splitlines() if line[0].isdigit()]
            words = [(cell[1], cell[3]) for cell in cells if cell[0].isdigit()]
            by_id[comments["sent_id"]] = (comments["text"], words)
    return by_id


def test_openings_say_what_comes_next() -> None:
    whole, verbs = sentences(), 0
    records = [record for _, record in open_texts("embedded:openings", "stop", "auto")]
    assert len({(record["sentence"], record["text"]) for record in records}) == len(records) > 700
    for record in records:
        text, words = whole[record["sentence"]]
        rest = text[len(record["text"]) :]
        assert text.startswith(record["text"])
        assert rest.startswith(" ")
        tags = {upos for form, upos in words if rest.split()[0].startswith(form)}
        assert len(tags) > 1 or record["next_is_verb"] == (tags <= {"VERB", "AUX"})
        assert record["characters"] == len(record["text"])
        verbs += record["next_is_verb"]
    assert 150 < verbs < len(records) / 2


def test_their_labels_and_groups_are_declared() -> None:
    labels, group = DECLARED["embedded:openings"]
    record = next(iter(open_texts("embedded:openings", "stop", "auto")))[1]
    assert {*labels, group} < set(record)
