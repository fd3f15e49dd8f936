"""Linear probes of any labels, from the states of any store: which layer and position tell a label, and can it be
believed?

    python collect.py --exp activations --texts my.csv --text_column text --label_columns '[kind]'
    python train.py --exp linear_probes
    python train.py --exp linear_probes --run runs/tempnorm --target log_one_step
    python train.py --exp linear_probes --labels more.csv --target rating --evaluate_on runs/other

One probe per layer and target: ridge for numbers, logistic regression for categories. Splits are by content, layer,
position and penalty are chosen inside the training part, and every score stands next to what the text's surface, the
model's own output, a random-weights twin and shuffled labels give.
"""
