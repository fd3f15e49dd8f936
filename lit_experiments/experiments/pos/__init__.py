"""Study 5, part of speech: is a probe's uncertainty the language's own ambiguity?

A probe that reads a word's part of speech from the hidden state of the prefix that ends with the word is sometimes
unsure. If that is because the sentence could still go several ways, then the model's own continuations of that prefix
should disagree about the word's tag, in the same proportions.

    python collect.py --exp pos_tokens                     states of every labelled word of a treebank
    python train.py --exp pos_probe                        a probe per layer, baseline, control task, calibration
    python collect.py --exp pos_resample                   prefixes where the probe is unsure, continued 96 times each
    lit-experiments analyze --exp pos_ambiguity            the continuations' tags next to the probe's probabilities
    lit-experiments run pos                                all four
    lit-experiments export runs/pos-resample --format jsonl --out prefixes.jsonl.zst
"""
