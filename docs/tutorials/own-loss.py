# %% [markdown]
# # Your own loss
#
# A loss of your own is a class of some ten lines. It gets a name, a check, and from then on trains, compares and
# saves like a built-in one.

# %%
from typing import Annotated

import torch.nn.functional as F
from torch import Tensor

import siamese_mnist as sm
from siamese_mnist.testing import check_loss

# %% [markdown]
# ## Write it
#
# This one asks a logistic regression on the cosine of every two images of a batch: are they of one class?
# `supervisions` says that it learns from labels. The options after the `*` can be set from outside, and a study tunes
# those with a range.


# %%
@sm.LOSSES.register("logistic-cosine")
class LogisticCosine(sm.MetricLoss):
    """Cross-entropy of scaled cosines over all pairs of a batch.

    Args:
        classes: number of classes; not used.
        embedding_dim: length of an embedding; not used.
        scale: steepness.
        boundary: cosine at which both answers are equally likely.
    """

    supervisions = ("labels",)

    def __init__(
        self,
        classes: int,
        embedding_dim: int,
        *,
        scale: Annotated[float, sm.Range(2.0, 50.0)] = 10.0,
        boundary: float = 0.5,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.boundary = boundary

    def of_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of a batch (N, E) with labels (N,); both answers weigh the same."""
        cosine = F.normalize(embeddings) @ F.normalize(embeddings).T
        same = labels[:, None] == labels[None, :]
        logits = self.scale * (cosine - self.boundary)
        return F.softplus(-logits[same]).mean() + F.softplus(logits[~same]).mean()


# %% [markdown]
# ## Check it
#
# The check asks what any training needs: a finite scalar, gradients that reach the embeddings, a score that does not
# depend on the order.

# %%
check_loss("logistic-cosine")
print("passed")

# %% [markdown]
# ## Set it against others
#
# The same images, the same network and the same time. The verdict speaks only where the interval of the difference
# leaves out 0.

# %%
rows = sm.compare(
    ["siamese:loss=contrastive", "siamese:loss=logistic-cosine"], recipe="short", train_pairs=9000, seeds=2, jobs=1
)
for row in rows:
    if not row.published:
        print(f"{row.entry:<32} {row.figure('accuracy').mean:.4f}  {row['verdict'] or ''}")

# %% [markdown]
# ## Give it to others
#
# In a package, an entry point takes the place of `@sm.LOSSES.register`; then the command line knows it too. The
# folder `examples/plugin` of the repository is such a package: [Your own parts](../plugins.md).
