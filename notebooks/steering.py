# %% [markdown]
# # Steering along what a probe reads
#
# A probe that reads something shows that it is there. Whether the model *uses* it is another question: move the states
# along the probe's direction while the model writes, and see what follows, next to random directions of the same
# length.

# %%
MODEL = "embedded"  # on a GPU, for example "Qwen/Qwen2.5-1.5B"

# %% [markdown]
# ## A probe
#
# Sentences about what somebody has, and about where somebody went.

# %%
import pandas as pd

import lit_experiments as lit

names = ["Tom", "Anna", "Ben", "Mia", "Sam", "Lucy", "Max", "Emma", "Paul", "Rosa"]
things = ["apples", "books", "coins", "stamps", "pens", "cards", "shells", "nuts"]
places = ["school", "town", "work", "church", "bed", "court", "sea", "market"]
has = [{"text": f"{name} has many {thing}.", "kind": "having"} for name in names for thing in things]
went = [{"text": f"{name} went to {place}.", "kind": "going"} for name in names for place in places]
texts = pd.DataFrame(has + went)
store = lit.collect(texts, MODEL, label_columns=["kind"])
probes = lit.fit_probes(store, "kind", permutations=199, bootstraps=200, shuffles=19, twins=2)
probes.best

# %% [markdown]
# The verdict is as it must be: sentences that are so much alike count as few, and few say little. (Nor would many say
# much here: what kind of sentence it is stands in its words.) That is no obstacle to steering, which asks what the
# *model* does with the direction.

# %% [markdown]
# ## Write along it
#
# Strengths are multiples of the natural spread of the states along the direction, so 4 means the same at every layer;
# 0 changes no bit.

# %%
prompts = ["Once upon a time there was a girl who", "In the morning", "The old man", "Every day she"]
prompts += ["My brother", "After lunch the teacher", "The doctor said that he", "Nobody knew that"]
steered = lit.steer(
    probes.best, prompts, strengths=[-8, -4, 0, 4, 8], completions=1, random_directions=1, bootstraps=200
)

# %%
doses = steered.doses
doses.round(2)

# %%
import matplotlib.pyplot as plt

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), sharex=True)
for direction, rows in doses.groupby("direction"):
    left.plot(rows.strength, rows.reading, "o-", label=direction)
    right.plot(rows.strength, rows.perplexity, "o-", label=direction)
left.set(xlabel="strength", ylabel="what the last layer reads")
right.set(xlabel="strength", ylabel="perplexity of the text", yscale="log")
left.legend()
fig.tight_layout()
plt.show()

# %% [markdown]
# On the left, what later layers read of the text: a dose-response along the probe's direction, and none along the
# random one, if the model carries it on. On the right, where the text stops being fluent: beyond it, an effect is only
# that something broke. Some of what was written:

# %%
import stores

written = stores.open_store(steered.folder / "store").to_pandas()
shown = written[(written.direction != "random-1") & (written.prompt == written.prompt.iloc[0])]
for strength, texts in shown[["strength", "completions"]].sort_values("strength").itertuples(index=False):
    print(f"{strength:+.0f}  {texts[0]!r}")
