"""What a row of study 2 holds: one paragraph under one condition, read by one model."""

from __future__ import annotations

from collections.abc import Sequence

from stores import Column, Field, Schema


def make_schema(sites: Sequence[str], width: int) -> Schema:
    """States [layer, token, hidden] at the continuation's tokens (or all), and cross-entropy [predicted]."""
    resid = Field("resid_post", ("layer", "token", "hidden"), (len(sites), None, width), "float16", "", _STATES)
    ce = Field("ce", ("predicted",), (None,), "float32", "nats", _CE)
    return Schema((resid, ce), COLUMNS, {"layer": list(sites)})


_STATES = "residual stream after each block at the tokens input_ids[first_state:]"
_CE = "-log p of each token that has a predecessor: entry i belongs to input_ids[i + 1]"
COLUMNS = (
    Column("paragraph_id", "string", "the paragraph; its rows are one group"),
    Column("paragraph_place", "int64", "its line or row in the source, its number in the documentation"),
    Column("condition", "string", "human, model (greedy), model-tempXX (sampled) or shuffled"),
    Column("prompt", "string", "the paragraph's first sentence"),
    Column("continuation", "string", "what follows it in this condition"),
    Column("input_ids", "list<int64>", "exactly what the model read"),
    Column("tokens", "list<string>", "the text of each token"),
    Column("boundary", "int64", "index in input_ids of the continuation's first token"),
    Column("straddles", "bool", "whether that token holds the prompt's end too"),
    Column("continuation_length", "int64", "tokens of the continuation; 0 where the model ended at once"),
    Column("first_state", "int64", "index in input_ids of the first token whose state is stored"),
    Column("temperature", "float64", "of generated text, 0 is greedy"),
    Column("stop_reason", "string", "of generated text: end_of_text or max_new_tokens"),
    Column("read_as", "string", "ids: the very tokens; text: tokenised anew by a reader with another tokenizer"),
    Column("retokenises", "bool", "generated text: the tokenizer would give the same ids for it"),
    Column("reader", "string", "the model that read, its adapter behind a plus sign"),
    Column("generator", "string", "the model whose text and tokenizer the conditions come from"),
)
