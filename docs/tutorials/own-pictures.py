# %% [markdown]
# # Your own pictures
#
# Train on pictures of your own: one folder a class, as photos or scans, of any size, dark on light or light on dark.
# So that this page runs anywhere, it first makes such a folder, from letters in fonts that look handwritten.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

import siamese_mnist as sm

# %% [markdown]
# ## The folder
#
# `letters/train/a/*.png`, `letters/train/b/*.png`, ..., and `letters/test` with other pictures of the same classes.
# The pictures here are dark on light and 60 pixels wide.

# %%
train, test, classes = sm.load_dataset("glyphs")
names = "abdeghnr"
for split, part in (("train", train), ("test", test)):
    for number, (image, label) in enumerate(zip(part.images[:, 0], part.labels.tolist(), strict=True)):
        if classes[label] in names:
            folder = Path("letters", split, classes[label])
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(255 - image.numpy()).resize((60, 60)).save(folder / f"{number}.png")
print(sum(1 for _ in Path("letters/train").rglob("*.png")), "pictures to train on")
print(sum(1 for _ in Path("letters/test").rglob("*.png")), "to test on")

# %% [markdown]
# ## Look at what the network will see
#
# `folder-normalised` brings every picture to MNIST's convention: light on dark, scaled to 20 x 20, centred by mass.
# Look before you train; a picture that is all frame or all shadow shows here.

# %%
letters = sm.load_dataset("folder-normalised", "letters")
figure, panels = plt.subplots(1, 8, figsize=(9, 1.5), layout="constrained")
for label, axes in enumerate(panels):
    axes.imshow(letters.train.images[letters.train.labels == label][0, 0].numpy(), cmap="gray")
    axes.set(title=letters.classes[label], xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## Train and ask
#
# Files are prepared for the question as they were for the training, so a new picture goes in as it is.

# %%
result = sm.run("siamese", recipe="fast", dataset="folder-normalised", data_dir="letters", train_pairs=12000)
print(f"accuracy {result.test.accuracy:.4f} on {result.test.pairs:,} pairs, {result.total_seconds:.0f} s")

verifier = sm.load(result.run_dir)
files = [sorted(Path("letters/test", name).glob("*.png"))[place] for name, place in (("a", 0), ("a", 9), ("d", 0))]
one, same, other = (verifier.read(file) for file in files)
print(f"{files[0]} and {files[1]}: {verifier.predict_proba(one[None], same[None])[0]:.3f} for same")
print(f"{files[0]} and {files[2]}: {verifier.predict_proba(one[None], other[None])[0]:.3f} for same")

# %% [markdown]
# ## From here
#
# - Colour, sizes and splits by writer: [Your own images](../datasets.md).
# - In a terminal: `siamese-mnist run siamese --recipe fast --dataset folder-normalised --data-dir letters`.
# - Symbols that were not in the folder: [new symbols](new-symbols.md).
