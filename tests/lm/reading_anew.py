"""What decoding is held against: the whole text through the model, alone, for every token."""

import torch

from lit_experiments.lm.noise import StreamKey, race_noise
from lit_experiments.lm.sampling import choose


def keys(n, sample="s"):
    return [StreamKey(7, sample, draw) for draw in range(n)]


@torch.inference_mode()
def read_anew(lm, ids, steps, sampling, key):
    """The definition: the whole text through the model for every token. Returns ids and log-probabilities."""
    ids, log_probs = list(ids), []
    for _ in range(steps):
        logits = lm.model(input_ids=torch.tensor([ids]), use_cache=False).logits[:, -1].float()
        noise = None if sampling.greedy else torch.from_numpy(race_noise(key, len(ids), logits.shape[1]))[None]
        token = int(choose(logits, noise, sampling, margin=0.0)[0])
        log_probs.append(float(logits.log_softmax(-1)[0, token]))
        ids.append(token)
    return ids[-steps:], torch.tensor(log_probs)
