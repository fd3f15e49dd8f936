# %% [markdown]
# # Reading and plotting a store
#
# A store holds arrays with named dims next to a table of columns, on this machine, on object storage, or on the
# Hugging Face Hub. Nothing is read before it is asked for. To look at somebody else's:
# `store = lit.open_store("hf://datasets/OWNER/NAME")`.

# %%
MODEL = "embedded"  # on a GPU, for example "Qwen/Qwen2.5-1.5B"

# %% [markdown]
# ## A store
#
# The states of every token of sixty questions, at every layer.

# %%
import lit_experiments as lit

store = lit.collect("embedded", MODEL, positions=["all", "mean"], limit=60)
store

# %%
[(field.name, field.dims, field.shape, field.dtype) for field in store.schema.fields]

# %% [markdown]
# ## The table
#
# pandas, Arrow, or whatever reads Arrow (polars, DuckDB).

# %%
table = store.to_pandas(["sample_id", "text", "subject", "difficulty"])
table.head(3)

# %% [markdown]
# ## Arrays
#
# By rows, by place along a dim, or by slices. Only the chunks that hold them are read, and each is checked.

# %%
mean = store["hidden_mean"].read(site=3)  # [row, hidden], float32
easy = store.select(store.table()["difficulty"].to_numpy() == "easy")
mean.shape, len(easy), easy["hidden_mean"].read(rows=slice(0, 2), site=3).shape

# %% [markdown]
# Every row of `hidden_all` has its own number of tokens; `iter_rows` gives row by row.

# %%
row = next(store.iter_rows(["hidden_all"]))
row["text"], row["hidden_all"].shape  # [layer, token, hidden]

# %% [markdown]
# ## Plots
#
# How long are states, layer by layer? The first token's are often of another kind: look before you average.

# %%
import matplotlib.pyplot as plt
import numpy as np

layers = store.schema.coords["site"]
norms = [np.linalg.norm(row["hidden_all"], axis=-1) for row in store.iter_rows(["hidden_all"])]  # [layer, token] each
fig, ax = plt.subplots()
ax.plot(layers, np.mean([n[:, 0] for n in norms], 0), "o-", label="first token")
ax.plot(layers, np.mean([n[:, 1:].mean(1) for n in norms], 0), "o-", label="the others")
ax.set(ylabel="norm of the state", yscale="log")
ax.legend()
plt.show()
# %% [markdown]
# One text, token by token: how much does each layer change a state?

# %%
states = row["hidden_all"]
unit = states / np.linalg.norm(states, axis=-1, keepdims=True)
turned = 1 - (unit[1:] * unit[:-1]).sum(-1)  # [layer, token], cosine distance to the layer before
fig, ax = plt.subplots(figsize=(9, 3))
image = ax.imshow(turned, aspect="auto")
ax.set(yticks=range(len(layers) - 1), yticklabels=layers[1:], xlabel="token")
fig.colorbar(image, label="cosine distance to the layer before")
plt.show()
# %% [markdown]
# Two directions of most variance in the middle layer, coloured by what the questions are about. A picture is no proof
# that a label is readable; a held-out probe is (`lit.fit_probes(store, "subject")`).

# %%
centred = mean - mean.mean(0)
_, _, axes = np.linalg.svd(centred, full_matrices=False)
points = centred @ axes[:2].T
fig, ax = plt.subplots()
for subject in table.subject.value_counts().index[:5]:
    chosen = (table.subject == subject).to_numpy()
    ax.scatter(*points[chosen].T, label=subject)
ax.legend()
plt.show()
# %% [markdown]
# With named dims, for xarray's plots and arithmetic:

# %%
store.to_xarray(["hidden_mean"])
