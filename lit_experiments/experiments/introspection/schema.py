"""What a row of study 3 holds: one question in one pass."""

from __future__ import annotations

from collections.abc import Sequence

from stores import Column, Field, Schema


def make_schema(sites: Sequence[str], width: int) -> Schema:
    """States [layer, token, hidden] at the stored tokens, and the answer letters' numbers [choice]."""
    fields = (
        Field("resid_post", ("layer", "token", "hidden"), (len(sites), None, width), "float16", "", _STATES),
        Field(
            "letter_logits", ("choice",), (None,), "float32", "", "log of the summed exp of a letter's tokens' logits"
        ),
        Field("letter_probs", ("choice",), (None,), "float64", "", "softmax over the letters alone"),
    )
    return Schema(fields, COLUMNS, {"layer": list(sites)})


_STATES = "hidden states of the prompt's stored tokens (column positions), at the sites named by the layer coordinate"
COLUMNS = (
    Column("question_id", "string", "the question; its rows are one group"),
    Column("question_text", "string", "the question alone"),
    Column("options", "list<string>", "the four options as shown"),
    Column("correct_answer_letter", "string", "the key"),
    Column("subject", "string", "the source's own, where it has one"),
    Column("model_name", "string", "model, and adapter behind a plus sign"),
    Column("checkpoint_id", "string", "Hub commit or hash of the weights; the adapter's behind a plus sign"),
    Column("prompt_type", "string", "mcq, self_confidence or other_confidence"),
    Column("prompt_text", "string", "the prompt as rendered"),
    Column("input_ids", "list<int64>", "exactly what the model read"),
    Column("positions", "list<int64>", "the tokens whose states are stored"),
    Column("answer_position", "int64", "index of the prompt's last token, which predicts the answer"),
    Column("temperature", "float64", "of the output text; 0 is greedy"),
    Column("top_p", "float64", "of the output text"),
    Column("max_new_tokens", "int64", "length of the output text at most"),
    Column("output_text", "string", "what the model wrote after the prompt"),
    Column("parsed_answer", "string", "the letter in the output text, or else the most probable one"),
    Column("answer_source", "string", "text, or letters where the output text names none"),
    Column("is_correct", "bool", "mcq: whether parsed_answer is the key"),
    Column("letters", "list<string>", "the letters that logits and probs belong to"),
    Column("logits", "list<float64>", "as the field letter_logits"),
    Column("probs", "list<float64>", "as the field letter_probs"),
    Column("entropy", "float64", "of probs, nats"),
    Column("logit_margin", "float64", "mcq: logit of the key minus that of the best wrong letter"),
    Column("outside_mass", "float64", "probability of all tokens that are no letter"),
    Column("self_confidence", "float64", "that pass: expected confidence, percent"),
    Column("other_confidence", "float64", "that pass: expected confidence, percent"),
    Column("char_length", "int64", "characters of the question"),
    Column("token_length", "int64", "tokens of the question"),
    Column("question_type", "string", "its first question word, or other"),
    Column("has_negation", "bool", "not, no, never, ..."),
    Column("has_ambiguity", "bool", "hedging words: may, usually, about, best, ..."),
    Column("token_rarity_mean", "float64", "token id over vocabulary size, a proxy for rarity"),
    Column("token_rarity_max", "float64", "the same, largest"),
    Column("token_surprisal_mean", "float64", "from corpus counts where given, nats"),
    Column("token_surprisal_max", "float64", "the same, largest"),
)
