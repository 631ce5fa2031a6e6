# %% [markdown]
# # First run
#
# A model that tells whether two digits are the same, in half a minute: train it, look at what it measured, ask it.
# The images come with the package.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import siamese_mnist as sm

# %% [markdown]
# ## Train
#
# `siamese` is the variant, `fast` the recipe. The run lands in a folder of its own, with weights, settings and
# figures.

# %%
result = sm.run("siamese", recipe="fast", seed=0)
print(f"accuracy         {result.test.accuracy:.4f} on {result.test.pairs:,} pairs of test images")
print(f"equal error rate {result.test.equal_error_rate:.4f}")
print(f"seconds          {result.total_seconds:.0f}")
print(f"folder           {result.run_dir}")

# %% [markdown]
# ## Ask
#
# A verifier takes two stacks of images and gives the probability that each pair shows the same digit. Above each pair
# stand the truth and that probability.

# %%
verifier = sm.load(result.run_dir)
images, labels, _ = sm.load_dataset("mnist-tenth").test
pairs = sm.draw_pairs(labels, 6, generator=torch.Generator().manual_seed(1))
probability = verifier.predict_proba(images[pairs.left], images[pairs.right])

figure, panels = plt.subplots(2, 6, figsize=(9, 3.4), layout="constrained")
for column, sides in enumerate(panels.T):
    for axes, rows in zip(sides, (pairs.left, pairs.right), strict=True):
        axes.imshow(images[rows[column], 0].numpy(), cmap="gray")
        axes.set(xticks=[], yticks=[])
    sides[0].set_title(f"{'same' if pairs.same[column] else 'different'}: {probability[column]:.3f}")
plt.show()

# %% [markdown]
# ## Which pairs fool it?
#
# All pairs of the first 300 test images, the most mistaken first.

# %%
scores = np.asarray(verifier.score_matrix(images[:300], images[:300]))
different = np.not_equal.outer(labels[:300].numpy(), labels[:300].numpy())
worst = np.argsort(np.where(np.triu(different), scores, -np.inf), axis=None)[::-1][:3]
for left, right in zip(*np.unravel_index(worst, scores.shape), strict=True):
    probability = verifier.predict_proba(images[left][None], images[right][None])[0]
    print(f"image {left} is a {labels[left]}, image {right} a {labels[right]}: {probability:.3f} for same")

# %% [markdown]
# ## From here
#
# - In a terminal: `siamese-mnist run siamese --recipe fast`, then `siamese-mnist predict siamese A.png B.png`.
# - `siamese-mnist figures` draws what the run did: [Pictures](../pictures.md).
# - Next: [your own pictures](own-pictures.md).
