"""What texts, options and a key look like from outside: numbers of their shape, and their words one by one.

Pure functions of texts; knows no store.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_WORD = re.compile(r"\w+|[^\w\s]")
_PLACES = 8
"""Words from the start and from the end of a text that are marked for their place."""


def shape_numbers(texts: Sequence[str]) -> dict[str, Floats]:
    """Lengths, and how many characters are of a kind; [n] each."""
    words = [text.split() for text in texts]
    lengths = np.array([len(text) for text in texts], np.float64)
    counts = np.array([len(row) for row in words], np.float64)
    tests = {"digits": str.isdigit, "capitals": str.isupper, "spaces": str.isspace, "letters": str.isalpha}
    kinds = {name: _count(texts, test) for name, test in tests.items()}
    kinds["marks"] = lengths - kinds["digits"] - kinds["spaces"] - kinds["letters"]
    return {
        "characters": lengths,
        "words": counts,
        "characters of a word": np.divide(lengths, counts, out=np.zeros_like(lengths), where=counts > 0),
        "different words": np.array([len(set(row)) for row in words], np.float64),
        "share of different words": np.array([len(set(row)) / max(1, len(row)) for row in words], np.float64),
        "longest word": np.array([max(map(len, row), default=0) for row in words], np.float64),
        "sentences": np.array([len(re.findall(r"[.!?]+(?:\s|$)", text)) for text in texts], np.float64),
        "lines": np.array([text.count("\n") for text in texts], np.float64),
        **{name: values for name, values in kinds.items() if name != "letters"},
    }


def _count(texts: Sequence[str], test: object) -> Floats:
    return np.array([sum(map(test, text)) for text in texts], np.float64)  # type: ignore[call-overload]


def option_numbers(options: Sequence[Sequence[str] | None], key: Sequence[str | None] | None) -> dict[str, Floats]:
    """Lengths of a row's options, all and one by one, and of the right one next to the others where a key names it."""
    shown = [list(row or ()) for row in options]
    most = max((len(row) for row in shown), default=0)
    lengths = np.array([[len(text) for text in row] + [0] * (most - len(row)) for row in shown], np.float64)
    if not most:
        return {}
    out = {
        "characters of options": lengths.sum(1),
        "words of options": np.array([sum(len(text.split()) for text in row) for row in shown], np.float64),
        "longest option": lengths.max(1),
        "shortest option": lengths.min(1),
    }
    out |= {f"characters of option {place + 1}": lengths[:, place] for place in range(most)}
    right = None if key is None else [right_place(letter, row) for letter, row in zip(key, shown, strict=True)]
    if right is not None and all(place is not None for place in right):
        chosen = lengths[np.arange(len(shown)), np.array(right, np.int64)]
        rest = np.maximum(1, np.array([len(row) - 1 for row in shown]))
        out |= {
            "characters of the right option": chosen,
            "right option beside the others": chosen - (lengths.sum(1) - chosen) / rest,
            "longer options than the right one": (lengths > chosen[:, None]).sum(1).astype(np.float64),
        }
    return out


def overlap_numbers(
    texts: Sequence[str], options: Sequence[Sequence[str] | None], key: Sequence[str | None] | None
) -> dict[str, Floats]:
    """How many words of the options, and of the right one, are in the text; [n] each."""
    words = [set(_WORD.findall(text.casefold())) for text in texts]
    shown = [[_WORD.findall(option.casefold()) for option in row or ()] for row in options]
    shared = [
        [sum(word in there for word in option) for option in row] for there, row in zip(words, shown, strict=True)
    ]
    out = {"words of options in the text": np.array([sum(row) for row in shared], np.float64)}
    if key is not None:
        places = [right_place(letter, row or ()) for letter, row in zip(key, options, strict=True)]
        out["words of the right option in the text"] = np.array(
            [0 if place is None else row[place] for place, row in zip(places, shared, strict=True)], np.float64
        )
    return out


def right_place(key: str | None, options: Sequence[str]) -> int | None:
    """Which option a key names: by letter, by number, or by its own text; None where it names none."""
    text = "" if key is None else str(key).strip()
    if len(text) == 1 and text.isalpha() and ord(text.upper()) - ord("A") < len(options):
        return ord(text.upper()) - ord("A")
    if text.isdigit() and int(text) < len(options):
        return int(text)
    return options.index(text) if text in options else None


def marked_words(
    texts: Sequence[str], options: Sequence[Sequence[str] | None] | None, key: Sequence[str | None] | None
) -> list[str]:
    """Per row its words in small letters, the first and last ones once more with their place, the first and the last
    letter of the text, the words of the options and of the right one marked as such, and the key; separated by
    spaces."""
    rows = []
    for i, text in enumerate(texts):
        words = _WORD.findall(text.casefold())
        ends = [f"{place}^{word}" for place, word in enumerate(words[:_PLACES])]
        ends += [f"{place}${word}" for place, word in enumerate(words[::-1][:_PLACES])]
        letters = [letter for letter in text.casefold() if letter.isalnum()]
        ends += [f"letter^{letters[0]}", f"letter${letters[-1]}"] if letters else []
        extra: list[str] = []
        shown = list((options[i] if options is not None else None) or ())
        for place, option in enumerate(shown):
            extra += [f"{place}:{word}" for word in _WORD.findall(option.casefold())]
            extra += [f"o:{word}" for word in _WORD.findall(option.casefold())]
        if key is not None and key[i] is not None:
            extra.append(f"key:{key[i]}")
            right = right_place(key[i], shown)
            if right is not None:
                extra += [f"r:{word}" for word in _WORD.findall(shown[right].casefold())]
        rows.append(" ".join([*words, *ends, *extra]))
    return rows


def distribution_numbers(name: str, table: Floats) -> dict[str, Floats]:
    """Of rows that are distributions over letters or tokens: logarithms, order, entropy, top, gap; of rows of logits:
    the same of their softmax. table: [n, K]; rows that are neither give nothing."""
    whole = bool((table >= 0).all() and np.allclose(table.sum(1), 1.0, atol=0.02))
    if table.shape[1] < 2 or not np.isfinite(table).all() or not (whole or "logit" in name):
        return {}
    shifted = np.exp(table - table.max(1, keepdims=True))
    shares = table if whole else shifted / shifted.sum(1, keepdims=True)
    logs = np.log(np.maximum(shares, 1e-12))
    ordered, order = np.sort(shares, 1)[:, ::-1], np.argsort(-shares, 1, kind="stable")
    sorted_logs = np.log(np.maximum(ordered, 1e-12))
    places = np.arange(table.shape[1])
    out = {
        f"{name} entropy": -(shares * logs).sum(1),
        f"{name} gap": ordered[:, 0] - ordered[:, 1],
        f"{name} log gap": sorted_logs[:, 0] - sorted_logs[:, 1],
        f"{name} mean place": shares @ places,
        f"{name} upper half": shares[:, table.shape[1] // 2 :].sum(1),
        f"{name} odds of upper half": _odds(shares[:, table.shape[1] // 2 :].sum(1)),
        f"{name} spread of place": np.sqrt(np.maximum(shares @ places**2 - (shares @ places) ** 2, 0.0)),
        f"{name} squared": (shares**2).sum(1),
        f"{name} top odds": _odds(ordered[:, 0]),
    }
    for place in range(table.shape[1]):
        out[f"{name} log [{place}]"] = logs[:, place]
        out[f"{name} rank {place + 1}"] = ordered[:, place]
        out[f"{name} odds [{place}]"] = _odds(shares[:, place])
        out[f"{name} top is [{place}]"] = (order[:, 0] == place).astype(np.float64)
        out[f"{name} second is [{place}]"] = (order[:, 1] == place).astype(np.float64)
        out[f"{name} order of [{place}]"] = (order == place).argmax(1).astype(np.float64)
        if not whole:
            out[f"{name} share [{place}]"] = shares[:, place]
    return out


def _odds(share: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(share, 1e-12)) - np.log(np.maximum(1 - share, 1e-12)))
