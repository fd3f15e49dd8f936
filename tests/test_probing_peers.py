"""What the comparison with other probing tools hands to them, and what it counts."""

from collections import Counter
from pathlib import Path

from benchmarks.probing_peers import NOISE, ONCE, REPEATED, TOOLS, Measured, Text, balanced, code_lines, table, under

TEXTS = [Text(f"text {number}", number % 2) for number in range(40)]


def test_user_code_is_counted_without_what_talks_to_the_driver(tmp_path: Path) -> None:
    script = tmp_path / "tool.py"
    script.write_text(
        '"""What it is.\n\nMore.\n"""\n\nfrom __future__ import annotations\n\nimport tool\n\n\n'
        "def scores(texts):\n    # Why.\n    return tool.probe(\n        texts,\n    )\n\n\n"
        'if __name__ == "__main__":\n    from exchange import report\n\n    report(scores([]))\n'
    )
    assert code_lines(script) == 5


def test_repeated_texts_keep_one_label_each_and_noise_is_that_of_other_texts() -> None:
    assert sorted(under(ONCE, TEXTS, seed=1), key=str) == sorted(TEXTS, key=str)
    assert Counter(under(REPEATED, TEXTS, seed=1)) == Counter(dict.fromkeys(TEXTS, 5))
    noise = under(NOISE, TEXTS, seed=1)
    assert set(Counter(noise).values()) == {5}
    assert {row.text for row in noise} == {text.text for text in TEXTS}
    assert sum(row.label for row in noise) == 5 * 20
    assert set(noise) != set(TEXTS)
    assert len(set(noise)) == len(TEXTS)


def test_a_sample_has_different_texts_and_as_many_of_either_label() -> None:
    sample = balanced([*TEXTS, *TEXTS], 10, seed=2)
    assert len({text.text for text in sample}) == len(sample) == 10
    assert sum(text.label for text in sample) == 5


def test_ratios_are_of_one_round_and_scores_are_medians() -> None:
    results = {
        (tool.name, condition.name): [
            Measured(factor * seconds, auroc, "") for seconds, auroc in ((1, 0.5), (4, 0.9), (9, 0.6))
        ]
        for factor, tool in enumerate(TOOLS, start=1)
        for condition in (ONCE, REPEATED, NOISE)
    }
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table(results, 10)][2:]
    assert [row[2] for row in rows] == ["4.0", "8.0 (2.00)", "12.0 (3.00)", "16.0 (4.00)", "20.0 (5.00)"]
    assert {row[-1] for row in rows} == {"0.600"}
