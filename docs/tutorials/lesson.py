# %% [markdown]
# # How a network learns that two images are the same
#
# The lesson in Python. Its [page](../lesson.md) shows the same networks as they train; what is there comes from the
# cells below. All images are real MNIST digits that come with the package.

# %% tags=["recorded"]
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses
from pytorch_metric_learning.distances import LpDistance
from torch import nn

import siamese_mnist as sm
from siamese_mnist.evaluation.ranking import roc

EPOCHS = 6
train, test, _ = sm.load_dataset("mnist-tenth")

# %% [markdown]
# ## An image becomes a point
#
# The network maps an image to two numbers, a point in the plane. The last line keeps all points within a disc of
# radius 1, as larger networks keep their embeddings on a sphere.

# %% tags=["recorded"]


class Embedder(nn.Module):
    """Images (N, 1, 28, 28) in [0, 1] -> points (N, 2) in the unit disc."""

    def __init__(self):
        super().__init__()
        self.backbone = sm.create_backbone("convnet", width=16)
        self.project = nn.Linear(self.backbone.feature_dim, 2)

    def forward(self, images):
        point = self.project(self.backbone(images))
        return point / (1 + point.square().sum(1, keepdim=True)).sqrt()


# %% [markdown]
# ## What it is told
#
# Never where a point should be: only which images show the same digit.
#
# - **Contrastive** loss pulls two images of one digit together, and pushes two digits apart until they are a *margin*
#   apart.
# - **Triplet** loss looks at three images: the other digit shall be farther away than the same digit, by a margin.
# - **Softmax** cross-entropy learns to name the digit, and knows no distance.

# %% tags=["recorded"]
PLANE = LpDistance(normalize_embeddings=False)  # the plain distance of two points


class Softmax(nn.Module):
    """Cross-entropy of ten classes."""

    def __init__(self):
        super().__init__()
        self.classify = nn.Linear(2, 10)
        nn.init.normal_(self.classify.weight, std=5.0)  # a disc is small; logits have to be large

    def forward(self, points, labels):
        return F.cross_entropy(self.classify(points), labels)


def make_loss(name, margin):
    """The loss of this name, from points (N, 2) and labels (N,) to a scalar."""
    if name == "contrastive":
        return losses.ContrastiveLoss(pos_margin=0.0, neg_margin=margin, distance=PLANE)
    if name == "triplet":
        return losses.TripletMarginLoss(margin=margin, distance=PLANE)
    return Softmax()


def learn(name, margin=0.5, digits=range(10), seen=lambda done, total, model: None):
    """Trains on the training images of these digits, and calls `seen` before the first update and after each."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, loss = Embedder(), make_loss(name, margin)
        kept = train.select(torch.isin(train.labels, torch.tensor(list(digits))))
        images = kept.images / 255
        total = EPOCHS * -(-len(images) // 120)
        optimizer = torch.optim.AdamW([*model.parameters(), *loss.parameters()], lr=3e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=total)
        seen(0, total, model)
        rows = (each for _ in range(EPOCHS) for each in torch.randperm(len(images)).split(120))
        for done, batch in enumerate(rows, start=1):
            value = loss(model.train()(images[batch]), kept.labels[batch])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            seen(done, total, model)
    return model


@torch.no_grad()
def embed(model, images):
    """Points (N, 2) of uint8 images."""
    return model.eval()(images / 255)


def rates(points, labels, threshold):
    """False match rate and false non-match rate over all pairs: a pair nearer than the threshold counts as same."""
    distance, same = all_pairs(points, labels)
    near = distance <= threshold
    return near[~same].double().mean().item(), (~near)[same].double().mean().item()


def equal_errors(points, labels):
    """The threshold at which both rates are equal, or nearly so."""
    distance, same = all_pairs(points, labels)
    false_match, true_match, thresholds = (np.asarray(each) for each in roc((-distance).numpy(), same.numpy())[:3])
    return -float(thresholds[np.argmin(np.abs(false_match - (1 - true_match)))])


def all_pairs(points, labels):
    """Distance and truth of every two points."""
    left, right = torch.triu_indices(len(points), len(points), offset=1)
    return (points[left] - points[right]).norm(dim=1), labels[left] == labels[right]


# %% [markdown]
# ## Watch it learn
#
# Test images, which the network never trains on, before the first update, after 30, and at the end.

# %%
snapshots = {}


def keep(done, total, model):
    """Keeps the points of three moments."""
    if done in (0, 30, total):
        snapshots[done] = embed(model, test.images)


def draw(axes, points, title):
    """Draws the first 300 test images as their digits."""
    for (x, y), label in zip(points[:300].tolist(), test.labels[:300].tolist(), strict=True):
        axes.text(x, y, str(label), color=f"C{label}", ha="center", va="center", fontsize=8)
    axes.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal", title=title)


start = time.perf_counter()
trained = {("contrastive", 0.5): learn("contrastive", 0.5, seen=keep)}
print(f"trained in {time.perf_counter() - start:.0f} s")

figure, panels = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained")
for axes, (done, points) in zip(panels, snapshots.items(), strict=True):
    draw(axes, points, f"after {done} updates")
plt.show()

# %% [markdown]
# ## A threshold makes it an answer
#
# Two points nearer than the threshold count as *same*. A false match takes two digits for one; a false non-match
# takes one digit for two. A lower threshold has fewer of the first and more of the second. Training images choose it,
# test images are only counted.

# %%
points = embed(trained["contrastive", 0.5], test.images)
chosen = equal_errors(embed(trained["contrastive", 0.5], train.images[:1000]), train.labels[:1000])
for threshold in (chosen / 3, chosen, 2 * chosen):
    fmr, fnmr = rates(points, test.labels, threshold)
    print(f"threshold {threshold:.2f}   false matches {fmr:6.1%}   false non-matches {fnmr:6.1%}")

distance, same = all_pairs(points, test.labels)
figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
axes.hist(distance[same].numpy(), bins=60, density=True, alpha=0.7, label="same digit")
axes.hist(distance[~same].numpy(), bins=60, density=True, alpha=0.7, hatch="//", label="two digits")
axes.axvline(chosen, color="black", linestyle="--", label="threshold")
axes.set(xlabel="distance", yticks=[])
axes.legend()
plt.show()

# %% [markdown]
# ## The margin is a wish
#
# Ten points in a disc of radius 1 cannot all be farther apart than about 0.7. With a margin of 0.5 the wish can be
# met. With 2 it cannot: all digits flee to the rim, and some end up in one place.

# %%
for margin in (0.5, 2.0):
    model = trained.get(("contrastive", margin)) or learn("contrastive", margin)
    threshold = equal_errors(embed(model, train.images[:1000]), train.labels[:1000])
    fmr, fnmr = rates(embed(model, test.images), test.labels, threshold)
    print(f"margin {margin:4}   threshold {threshold:.2f}   false matches {fmr:.1%}   false non-matches {fnmr:.1%}")

# %% [markdown]
# ## Three losses
#
# The same network, the same images in the same order. Softmax only needs a border between two digits, so each spreads
# out until it touches the next, and a short distance means little.

# %%
trained["triplet", 0.5] = learn("triplet", 0.5)
trained["softmax", None] = learn("softmax")
figure, panels = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained")
for axes, name in zip(panels, [("contrastive", 0.5), ("triplet", 0.5), ("softmax", None)], strict=True):
    threshold = equal_errors(embed(trained[name], train.images[:1000]), train.labels[:1000])
    points = embed(trained[name], test.images)
    fmr, fnmr = rates(points, test.labels, threshold)
    print(f"{name[0]:<12} false matches {fmr:6.1%}   false non-matches {fnmr:6.1%}")
    draw(axes, points, name[0])
plt.show()

# %% [markdown]
# ## Hard pairs
#
# The two digits that are nearest to each other, and the two images of one digit that are farthest apart.

# %%
points = embed(trained["contrastive", 0.5], test.images)
distance, same = all_pairs(points, test.labels)
left, right = torch.triu_indices(len(points), len(points), offset=1)
nearest = torch.where(same, torch.inf, distance).argsort()[:4]
farthest = torch.where(same, distance, -torch.inf).argsort(descending=True)[:4]
figure, panels = plt.subplots(2, 4, figsize=(8, 2.8), layout="constrained")
for axes, pair in zip(panels.flat, [*nearest.tolist(), *farthest.tolist()], strict=True):
    axes.imshow(torch.cat([test.images[left[pair], 0], test.images[right[pair], 0]], 1).numpy(), cmap="gray")
    axes.set(title=f"distance {distance[pair]:.3f}", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## Stacked or Siamese
#
# A stacked network sees both images at once, as two channels. It has no points: every pair needs a pass of its own, and
# the answer can depend on the order. Both networks here see the same pairs, 9,000 of them.

# %%
for entry in ("baseline:backbone=convnet", "siamese"):
    run = sm.run(entry, recipe="alike", train_pairs=9000, test_pairs=2000)
    stay, speed = run.test.swap_agreement, run.throughput.score_pairs_per_second
    print(f"{entry:<26} {stay:6.1%} of the answers stay when swapped, {speed:,.0f} pairs a second")

# %% [markdown]
# ## New classes
#
# A network that has only seen 0 to 7 gets 8 and 9 as well. It was never told what they are, but still gives them
# places. The threshold stays the one of the known digits.

# %%
known = learn("contrastive", 0.5, digits=range(8))
old = train.labels[:1000] < 8
threshold = equal_errors(embed(known, train.images[:1000][old]), train.labels[:1000][old])
points = embed(known, test.images)
distance, same = all_pairs(points, test.labels)
is_new = test.labels[torch.triu_indices(len(points), len(points), offset=1)].ge(8).any(0)
for name, chosen_pairs in (("known digits only", ~is_new), ("an 8 or a 9 in the pair", is_new)):
    near, truth = distance[chosen_pairs] <= threshold, same[chosen_pairs]
    fmr, fnmr = near[~truth].double().mean(), (~near)[truth].double().mean()
    print(f"{name:<24} false matches {fmr:6.1%}   false non-matches {fnmr:6.1%}")

figure, axes = plt.subplots(figsize=(3.6, 3.6), layout="constrained")
draw(axes, points, "trained on 0 to 7")
plt.show()

# %% [markdown]
# The library's own networks have 64 dimensions instead of two, and train on turned digits as well where [new
# classes](../new-classes.md) are to come. `siamese-mnist run siamese --recipe fast` reaches an accuracy of about
# 0.99 on pairs of test images.
