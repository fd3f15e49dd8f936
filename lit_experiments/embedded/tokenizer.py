"""The byte-level BPE tokenizer: how it is trained and saved.

Owns: pre-tokenisation, special tokens, the BOS policy (exactly one, at the start). Does not know: models or data sets.
Numbers are cut into pairs of digits from the right (" 1" "12" for " 112"), each pair one token: a small model copies a
number from a problem far more surely as one token than digit by digit. Every capital letter is one token with and
without a leading space, since multiple-choice answers are read off single letters.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS = "<pad>", "<s>", "</s>"
DIGIT_PAIRS = r" ?\d{1,2}(?=(?:\d{2})*(?!\d))"
WEIGHT = 1000  # of each symbol that must be one token: enough to enter the vocabulary whatever the text


def _symbols() -> Iterator[str]:
    """Letters and numbers that must be single tokens."""
    for letter in string.ascii_uppercase:
        yield f" {letter}" * WEIGHT
    for number in range(100):
        yield f" {number}" * WEIGHT
        yield f"{number:02d}\n" * WEIGHT


def train(texts: Iterable[str], vocab_size: int, window: int) -> PreTrainedTokenizerFast:
    """Learn a vocabulary of `vocab_size` entries, special tokens and all 256 bytes included."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(DIGIT_PAIRS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*texts, *_symbols()], trainer)
    bos_id = tokenizer.token_to_id(BOS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, bos_id)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=window,
        clean_up_tokenization_spaces=False,
    )


def encode_documents(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[list[int]]:
    """Ids of whole documents: BOS, text, EOS."""
    eos = tokenizer.eos_token_id
    return [[*ids, eos] for ids in tokenizer(texts, add_special_tokens=True, verbose=False)["input_ids"]]
