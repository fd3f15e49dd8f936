"""The shipped contexts of study 1: openings after which the next words vary from nearly fixed to wide open.

    python -m lit_experiments.embedded.contexts     # writes data/contexts.txt again

Owns: how openings are cut from held-out documentation and from held-out arithmetic problems, and their shipped file.
Does not know: the model; lengths are bounded in characters, far inside its window.
"""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path

from lit_experiments.embedded import arithmetic, text

CONTEXTS_FILE = Path(__file__).parent / "data" / "contexts.txt"
DOCUMENTATION, ARITHMETIC = 200, 200
MAX_CHARS = 360
SEED = 3


def _documentation(rng: random.Random) -> list[str]:
    """Openings of held-out paragraphs, 1 to 14 words long."""
    _, held_out = text.split(text.documents())
    paragraphs = [p for document in held_out for p in document.paragraphs if len(p) >= 80]
    rng.shuffle(paragraphs)
    openings = (" ".join(p.split()[: rng.choice((1, 2, 3, 5, 8, 11, 14))]) for p in paragraphs)
    return list(itertools.islice(dict.fromkeys(openings), DOCUMENTATION))


def _arithmetic(rng: random.Random) -> list[str]:
    """Held-out problems, cut inside the question, before the solution, or inside the solution."""
    openings: dict[str, None] = {}
    for problem in arithmetic.problems("contexts", held_out=True):
        question, solution = problem.question.split(), problem.solutions[rng.choice(arithmetic.METHODS)].split()
        cuts = (
            "Problem: " + " ".join(question[: rng.randint(2, len(question) - 1)]),
            problem.prompt,
            problem.prompt + " " + " ".join(solution[: rng.randint(1, len(solution) // 2)]),
        )
        openings[rng.choice(cuts)] = None
        if len(openings) == ARITHMETIC:
            break
    return list(openings)


def contexts() -> list[str]:
    """All contexts in their shipped order; the documentation part depends on the running Python's documentation."""
    rng = random.Random(f"contexts/{SEED}")
    texts = [*_documentation(rng), *_arithmetic(rng)]
    rng.shuffle(texts)
    return [context for context in texts if len(context) <= MAX_CHARS]


if __name__ == "__main__":
    CONTEXTS_FILE.write_text("".join(f"{context}\n" for context in contexts()), encoding="utf-8")
    sys.stdout.write(f"{CONTEXTS_FILE}\n")
