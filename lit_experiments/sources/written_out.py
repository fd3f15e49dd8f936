"""Lists and mappings that a table holds as text: JSON, Python's own notation, or NumPy's, as `to_csv` prints them.

Owns: these notations. Does not know: what the values mean.
"""

from __future__ import annotations

import ast
import io
import json
import tokenize
from collections.abc import Sequence
from typing import Any

_CALLS = ("array", "str_", "int64", "int32", "float64", "float32", "bool_")  # NumPy's names around values
_VALUES = (tokenize.STRING, tokenize.NUMBER)
_CLOSING, _OPENING = ("]", ")", "}"), ("[", "(", "{")


def parse_written(text: str) -> Any:
    """The value that a text writes out.

    NumPy parts the items of a list by white space (`['one a' 'two b']`), which Python would read as one string.

    Raises:
        ValueError: it is written in none of these ways.
    """
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return _value(ast.parse(_with_commas(text), mode="eval").body)
    except (SyntaxError, tokenize.TokenError, RecursionError, MemoryError) as error:
        raise ValueError("neither JSON nor a Python or NumPy list") from error


def _with_commas(text: str) -> str:
    """The text with a comma wherever a value follows another one without any."""
    scanned = tokenize.generate_tokens(io.StringIO(text.strip()).readline)
    tokens = [token for token in scanned if token.string.strip()]
    pieces: list[str] = []
    for i, token in enumerate(tokens):
        if i and _ends_value(tokens[i - 1]) and _begins_value(tokens, i):
            pieces.append(",")
        pieces.append(token.string)
    return " ".join(pieces)


def _ends_value(token: tokenize.TokenInfo) -> bool:
    return token.type in _VALUES or token.string in _CLOSING


def _begins_value(tokens: Sequence[tokenize.TokenInfo], at: int) -> bool:
    token = tokens[at]
    if token.string == "-" and at + 1 < len(tokens):  # `[1 -2]` is two numbers, `[1 - 2]` is never printed
        return tokens[at + 1].type == tokenize.NUMBER
    return token.type in _VALUES or token.string == "["


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise ValueError("an unpacked mapping")
        return {_value(key): _value(item) for key, item in zip(node.keys, node.values, strict=True) if key is not None}
    if isinstance(node, ast.Call) and node.args:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _CALLS:
            return _value(node.args[0])
    return ast.literal_eval(node)
