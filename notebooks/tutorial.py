# %% [markdown]
# # A table of texts: do hidden states tell the labels?
#
# You have texts with labels and want to know whether a model's hidden states tell the labels, at which layer, and
# whether that is more than what the texts look like. The embedded model serves, so nothing is downloaded; change
# `MODEL` for a real one, and everything below is about that one.

# %%
MODEL = "embedded"  # on a GPU, for example "Qwen/Qwen2.5-1.5B"

# %% [markdown]
# ## A table
#
# Sums in words, with two labels: is the sum right, and what is the right result?

# %%
import random

import pandas as pd

import lit_experiments as lit

rng = random.Random(0)


def sum_in_words():
    a, b = rng.randint(2, 60), rng.randint(2, 60)
    right = rng.random() < 0.5
    shown = a + b if right else a + b + rng.choice([-10, -3, -2, -1, 1, 2, 3, 10])
    text = f"Tom has {a} apples and gets {b} more, so he has {shown}."
    return {"text": text, "right": "yes" if right else "no", "result": a + b}


sums = pd.DataFrame([sum_in_words() for _ in range(400)])
sums.head(3)

# %% [markdown]
# ## States
#
# The model reads every text; the state of its last token is stored at every layer. The same call finds what it stored
# before, and an interrupted one goes on.

# %%
store = lit.collect(sums, MODEL, label_columns=["right", "result"])
store

# %% [markdown]
# ## Probes
#
# One per layer and label. Texts that are alike never straddle the split; layer and penalty are chosen without the test
# part; controls say what the surface of the text and a model with random weights would have told. (The options make it
# quick; without them, more permutations and five random models.)

# %%
probes = lit.fit_probes(store, permutations=199, bootstraps=200, shuffles=19, twins=2)

# %%
pd.DataFrame(
    [(p.target, p.layer, str(p.result.score), p.verdict) for p in probes],
    columns=["label", "layer", "score", "verdict"],
)

# %% [markdown]
# With the embedded model, **the result is readable, and that means little**: the two numbers stand in the text, and the
# verdict says that its surface tells as much. What the probe says of each layer:

# %%
import matplotlib.pyplot as plt

curve = probes["result"].curve
ax = curve.plot("layer", "score", yerr=[curve.score - curve.low, curve.high - curve.score], marker="o", legend=False)
ax.set(ylabel="R² on held-out texts", ylim=(0, 1), title="result")
plt.show()
# %% [markdown]
# ## What comes of it
#
# Scores of new texts, a scikit-learn pipeline of hidden vectors, and a page with all of it
# (`report.html` in the probes' folder).

# %%
new = ["Tom has 40 apples and gets 5 more, so he has 45.", "Tom has 12 apples and gets 9 more, so he has 21."]
probes["result"].predict(new).round(1)

# %%
probes["result"].to_sklearn()
