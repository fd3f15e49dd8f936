"""Any texts, any labels: the hidden states of a table of texts, with its other columns as labels.

The texts may be a column, a template over several, conversations in the model's chat template, or contrast pairs; the
states those of any sites, at the last, first, or all tokens, the last K, the tokens of labelled spans, or pooled over
the text; and, where the model answers first, those of its response.

    python collect.py --exp activations --texts my.jsonl --text_column body --label_columns topic --group_column author
    python collect.py --exp activations --texts chats.jsonl --messages_column messages --generate 64 \\
        --positions '[last, response_mean]' --sites 'resid_post.*'
    python collect.py --exp activations --texts pairs.csv --pair_columns '[true, false]' --positions mean
    lit-experiments inspect runs/activations --examples 3
    lit-experiments export runs/activations --format npy --out activations-npy
"""
