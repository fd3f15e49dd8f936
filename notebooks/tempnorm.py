# %% [markdown]
# # Study 1: what does a state know of its continuations?
#
# Sharpened sampling (p^alpha over whole sequences) needs a normaliser that sampling token by token ignores. Study 1
# samples continuations of many starting points, measures it as log-tempnorm, and asks how much of it one hidden vector
# at the starting point tells. The commands are those of the terminal; `MODEL` names another model.

# %%
MODEL = "embedded"  # on a GPU, for example "facebook/opt-125m"

# %% [markdown]
# ## Collect
#
# Interrupt it and run it again: it goes on where it was.

# %%
from lit_experiments.cli import main

RUN = f"runs/tempnorm-{MODEL.replace('/', '-')}"
assert main(["collect", "--exp", "tempnorm", "--model", MODEL, "--run", RUN, "--limit", "100"]) == 0

# %%
import stores

store = stores.open_store(f"{RUN}/store")
store.to_pandas().head(3)

# %% [markdown]
# `log_tempnorm` holds, for each starting point and continuation, (alpha - 1) times the sum of log-probabilities of its
# first L tokens. What differs between the continuations of one starting point no function of its state can tell.

# %%
import matplotlib.pyplot as plt

lengths = store.schema.coords["eval_length"]
values = store["log_tempnorm"].read()  # [starting point, continuation, eval length], nats
fig, ax = plt.subplots()
ax.plot(lengths, values[:5].mean(1).T, "o-")
ax.set(xlabel="L, tokens", ylabel="log-tempnorm, nats", title="mean over continuations, five starting points")
plt.show()
# %% [markdown]
# ## Train
#
# A ridge per eval length, with the noise ceiling and what simple numbers tell: the next token's entropy, the length of
# the prefix. (The options make it quick.)

# %%
QUICK = ["--permutations", "199", "--bootstraps", "200", "--repeats", "3", "--shuffles", "19", "--twins", "2"]
assert main(["train", "--exp", "tempnorm_ridge", "--run", RUN, *QUICK]) == 0

# %% [markdown]
# The page with every table and figure is `tempnorm_ridge/report.html` in the run's folder. One of its figures:

# %%
from pathlib import Path

from IPython.display import Image

Image(sorted(Path(RUN, "tempnorm_ridge", "figures").glob("*.png"))[0], width=640)
