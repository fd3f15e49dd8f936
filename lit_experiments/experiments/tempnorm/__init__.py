"""Study 1, tempnorm: can the hidden state at a prefix predict what tempering does to its continuations?

Sharpened sampling (p^alpha over whole sequences) needs a normaliser that token-by-token sampling ignores: how much mass
the continuations of a prefix keep when every probability is raised to alpha. This study samples continuations, measures
that quantity, and regresses it on one hidden vector.

    python collect.py --exp tempnorm          starting points, hidden vectors, continuations, log-tempnorms
    python train.py --exp tempnorm_ridge      a ridge per eval length, ceiling, baselines, figures
    lit-experiments run tempnorm              both
    lit-experiments export runs/tempnorm --format jsonl --out tempnorm.jsonl
"""
