"""A language of eleven words in which two are ambiguous until the next word, its exact model, and treebanks of it.

"duck" and "fish" are nouns before "sleeps" and "swims", verbs otherwise; what follows them does not depend on what came
before, so nobody can know their tag from the left, and the best probabilities are known.
"""

from pathlib import Path

import numpy as np

from tests.toys import bigram_model

WORDS = [".", "they", "duck", "fish", "sit", "sleeps", "fast", "low", "swims", "here", "now"]
_NEXT = {
    ".": {"they": 1.0},
    "they": {"duck": 0.4, "fish": 0.3, "sit": 0.3},
    "duck": {"sleeps": 0.3, "fast": 0.64, "low": 0.06},
    "fish": {"swims": 0.8, "here": 0.2},
    "sit": {"low": 0.5, "now": 0.5},
    **{word: {".": 1.0} for word in ("sleeps", "fast", "low", "swims", "here", "now")},
}
TRANSITION = np.array([[_NEXT[a].get(b, 0.0) for b in WORDS] for a in WORDS])
NOUN = {"duck": 0.3, "fish": 0.8}
_TAGS = {".": "PUNCT", "they": "PRON", "sit": "VERB", "sleeps": "VERB", "swims": "VERB"}


def toy_model(folder: Path, transition: np.ndarray = TRANSITION) -> Path:
    return bigram_model(folder, transition, WORDS)


def toy_treebank(folder: Path, sizes: dict[str, int], seed: int = 0, words: dict[str, float] | None = None) -> Path:
    """train.conllu, dev.conllu and test.conllu with so many sentences each, five to a document."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for part, count in sizes.items():
        lines = []
        for number in range(count):
            if number % 5 == 0:
                lines.append(f"# newdoc id = {part}-{number // 5}")
            lines += [f"# sent_id = {part}-{number}", *_sentence(rng, words), ""]
        (folder / f"{part}.conllu").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return folder


def _sentence(rng: np.random.Generator, words: dict[str, float] | None) -> list[str]:
    sentence = ["they"]
    while sentence[-1] != ".":
        shares = TRANSITION[WORDS.index(sentence[-1])]
        if sentence[-1] == "they" and words is not None:
            shares = np.array([words.get(word, 0.0) for word in WORDS])
        sentence.append(str(rng.choice(WORDS, p=shares)))
    rows = [f"{i}\t{w}\t_\t{_tag(w, sentence[i : i + 1])}\tT\t_\t_\t_\t_\t_" for i, w in enumerate(sentence, 1)]
    return [f"# text = {' '.join(sentence)}", *rows]


def _tag(word: str, following: list[str]) -> str:
    if word in NOUN:
        return "NOUN" if following[0] in ("sleeps", "swims") else "VERB"
    return _TAGS.get(word, "ADV")
