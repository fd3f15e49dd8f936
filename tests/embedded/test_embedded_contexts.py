"""The shipped contexts of study 1."""

from __future__ import annotations

from lit_experiments.embedded.contexts import CONTEXTS_FILE

WANDER, GENERATED = 30, 100  # the longest that study 1 appends to a context


def test_three_hundred_distinct_contexts_that_leave_room_in_the_window(shipped):
    model, tokenizer = shipped
    contexts = CONTEXTS_FILE.read_text(encoding="utf-8").splitlines()
    assert len(contexts) >= 300
    assert all(context.strip() == context != "" for context in contexts)
    assert len(set(contexts)) == len(contexts)
    longest = max(len(tokenizer(context)["input_ids"]) for context in contexts)
    assert longest + WANDER + GENERATED <= model.config.max_position_embeddings


def test_both_kinds_are_there():
    contexts = CONTEXTS_FILE.read_text(encoding="utf-8").splitlines()
    arithmetic = sum(context.startswith("Problem: ") for context in contexts)
    assert 0.3 < arithmetic / len(contexts) < 0.7
