# %% [markdown]
# # A fair study
#
# “My loss beats theirs” is often “I tuned mine”. A study gives every entry the same number of trials, chooses on
# validation images, and opens the test pairs once. It needs the extra `siamese-mnist[study]`.

# %%
import matplotlib.pyplot as plt

import siamese_mnist as sm

# %% [markdown]
# ## Ask
#
# Two losses, four trials each. A real study has more of everything; this one takes less than a minute.

# %%
result = sm.study(
    ["siamese:loss=contrastive", "siamese:loss=triplet"],
    recipe="short",
    train_pairs=3000,
    trials=4,
    seeds=2,
    jobs=2,
)

# %% [markdown]
# ## What was tried
#
# The first trial of an entry is its defaults. Accuracy here is that of validation images: a quarter of the training
# images, which the trial has not trained on.

# %%
for row in result.rows:
    print(row.entry)
    for trial in row.trials:
        values = "  ".join(f"{name} {value:g}" for name, value in trial.values.items())
        print(f"  {trial.accuracy:.4f}  {values}")

# %% [markdown]
# ## What it shows
#
# The chosen settings were trained anew on all training images, and measured on the test pairs. The interval of the
# difference decides; two seeds of a short training seldom show a side.

# %%
for row in result.rows:
    accuracy = row.row.figure("accuracy")
    print(f"{row.entry:<26} {accuracy.mean:.4f}  {row.verdict or 'is the first'}")
    print(f"  chosen: {row.chosen}")
print(result.opened())

# %% [markdown]
# ## Who needs many trials?
#
# The expected best validation accuracy of one, two, ... trials. A line that still climbs says that the budget was
# small.

# %%
figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
for row, marker in zip(result.rows, "os", strict=True):
    axes.plot([each.mean for each in row.budget], marker=marker, label=row.entry.partition("loss=")[2])
axes.set(xticks=range(4), xticklabels=range(1, 5), xlabel="trials", ylabel="validation accuracy")
axes.legend()
plt.show()

# %% [markdown]
# The folder of the study keeps every trial and every opening of the test pairs; the same call goes on where it
# stopped. `siamese-mnist study` does all of this in a terminal: [Studies](../studies.md).
