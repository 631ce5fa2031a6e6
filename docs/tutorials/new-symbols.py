# %% [markdown]
# # Recognise new symbols
#
# A classifier knows the classes it was trained on. A metric learner gets a name and an example or two, and from then
# on knows the symbol too. Here a network that has seen some letters learns others, without training.

# %%
import matplotlib.pyplot as plt
import torch

import siamese_mnist as sm

# %% [markdown]
# ## A network for new classes
#
# `glyphs` has 45 letters and digits in 40 fonts that look handwritten. The split `classes+groups` trains on 20 of
# them by 32 writers, and keeps 20 others by 8 other writers for the test. Turned letters serve as letters of their
# own.

# %%
result = sm.run(
    "siamese",
    recipe="short",
    loss="normalized-softmax",
    dataset="glyphs",
    split="classes+groups",
    extra_classes="rotated",
    train_pairs=48000,
    test_pairs=4000,
)
print(f"accuracy on pairs of new classes {result.test.accuracy:.3f}, {result.total_seconds:.0f} s")
for each in result.one_shot:
    print(f"{each.ways}-way one-shot, {each.writer} writer: {each.accuracy:.3f}")

# %% [markdown]
# ## Enrol
#
# Three examples each of twelve new symbols, by three writers. Eight more symbols stay strangers.

# %%
divided = sm.split_dataset(sm.load_dataset("glyphs"), "classes+groups", fold=0)
images, labels, writers = divided.test
gallery = sm.Gallery(sm.load(result.run_dir))
for label in range(12):
    for writer in writers.unique()[:3]:
        gallery.enrol(divided.test_classes[label], images[(labels == label) & (writers == writer)][:1])
print("enrolled", " ".join(gallery.names))

# %% [markdown]
# ## Identify
#
# Symbols by writers that are not in the gallery. The answer is a name, or *unknown* where nothing is near enough. The
# last two here are strangers. `max_fpir` is the share of strangers that may be given a name.

# %%
others = ~torch.isin(writers, writers.unique()[:3])
shown = [((labels == label) & others).nonzero()[0].item() for label in (0, 2, 4, 7, 9, 11, 13, 16)]
figure, panels = plt.subplots(1, 8, figsize=(9, 1.6), layout="constrained")
for axes, row, found in zip(panels, shown, gallery.identify(images[shown], max_fpir=0.4), strict=True):
    axes.imshow(images[row, 0].numpy(), cmap="gray")
    axes.set(title=f"{divided.test_classes[labels[row]]}: {found.name or 'unknown'}", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## How often is it right?
#
# Who allows more strangers a name gets more names, right ones and wrong ones. What the gallery states before it has
# seen a stranger is what its own names tell about each other.

# %%
known, strangers = images[others & (labels < 12)], images[others & (labels >= 12)]
truth = [divided.test_classes[label] for label in labels[others & (labels < 12)]]
print("allowed  named rightly  wrongly  strangers named  stated")
for allowed in (0.1, 0.2, 0.4):
    named = [found.name for found in gallery.identify(known, max_fpir=allowed)]
    right = sum(name == wanted for name, wanted in zip(named, truth, strict=True)) / len(truth)
    wrong = sum(name is not None for name in named) / len(truth) - right
    false = sum(found.name is not None for found in gallery.identify(strangers, max_fpir=allowed)) / len(strangers)
    print(f"{allowed:7.1f} {right:14.0%} {wrong:8.0%} {false:16.0%} {gallery.expect(allowed).rate:7.0%}")

# %% [markdown]
# More examples, the recipe `new-classes` and larger galleries: ["Whose is it?"](../identify.md) and [New
# classes](../new-classes.md). In a terminal: `siamese-mnist enrol` and `siamese-mnist identify`.
