"""The losses and miners of pytorch-metric-learning 2.9 that are offered, and why four losses are not."""

from typing import Annotated, Any

from siamese_mnist.parts.losses.base import LOSSES, MINERS, Supervision
from siamese_mnist.parts.losses.contrastive import contrastive
from siamese_mnist.parts.losses.library import Distance, LibraryLoss, LibraryLossFactory, LibraryMinerFactory, library
from siamese_mnist.registry import Range

NOT_OFFERED = {
    "InstanceLoss": "it takes the number of a class for a row of the batch, so its target is wrong with labels",
    "ManifoldLoss": "it learns without labels and refuses them",
    "SelfSupervisedLoss": "it takes every other image for an impostor, also those of the same class",
    "VICRegLoss": "it learns from genuine pairs alone and cannot use impostor pairs or labels",
}
"""Losses of pytorch-metric-learning that cannot serve here, each with the reason."""

# Losses with `one_positive` cost the product of a batch's positives and negatives; with one positive an image, as in
# most of their papers, an update takes milliseconds, not a second.
_BOTH: tuple[Supervision, ...] = ("pairs", "labels")
_LABELS_FIRST: tuple[Supervision, ...] = ("labels", "pairs")
_ANY_DISTANCE: tuple[Distance, ...] = ("euclidean", "cosine")
_SIZES = ("num_classes", "embedding_size")


def _add(name: str, summary: str, class_name: str, **fields: Any) -> None:
    LOSSES.add(name, LibraryLossFactory(class_name=class_name, **fields), summary=summary)


_add(
    "contrastive",
    "Contrastive (Hadsell et al. 2006): genuine pairs together, impostor pairs a margin apart.",
    "ContrastiveLoss",
    distances=_ANY_DISTANCE,
    supervisions=_BOTH,
    takes_miner=True,
    # Projections are normalised, so distances lie in [0, 2]; half of the library's margin verifies better.
    defaults={"euclidean": {"neg_margin": 0.5}, "cosine": {"pos_margin": 1.0, "neg_margin": 0.5}},
    tuned={"neg_margin": Range(0.1, 1.5)},
    written_out={"euclidean": contrastive},
)
_add(
    "snr-contrastive",
    "Contrastive on the signal-to-noise ratio distance (Yuan et al. 2019).",
    "SignalToNoiseRatioContrastiveLoss",
    distances=("snr",),
    supervisions=_BOTH,
    takes_miner=True,
    defaults={"snr": {"pos_margin": 0.0, "neg_margin": 1.0}},
    tuned={"neg_margin": Range(0.2, 2.0)},
)
_add(
    "intra-pair-variance",
    "Intra-pair variance (Yu and Tao 2019): equal similarity for all genuine, and for all impostor pairs.",
    "IntraPairVarianceLoss",
    supervisions=_BOTH,
    takes_miner=True,
    tuned={"pos_eps": Range(0.001, 0.1), "neg_eps": Range(0.001, 0.1)},
)
_add(
    "threshold-consistent-margin",
    "Threshold-consistent margin (Zhang et al. 2023): pulls all classes to one threshold.",
    "ThresholdConsistentMarginLoss",
    supervisions=_BOTH,
    tuned={"margin_plus": Range(0.6, 0.99), "margin_minus": Range(0.1, 0.8)},
)
_add(
    "triplet",
    "Triplet margin (Schroff et al. 2015).",
    "TripletMarginLoss",
    distances=_ANY_DISTANCE,
    supervisions=_LABELS_FIRST,
    grouped=True,
    takes_miner=True,
    tuned={"margin": Range(0.01, 0.5)},
)
_add(
    "margin",
    "Margin (Wu et al. 2017): one boundary for genuine and impostor distances.",
    "MarginLoss",
    distances=_ANY_DISTANCE,
    supervisions=_LABELS_FIRST,
    grouped=True,
    takes_miner=True,
    defaults={"cosine": {"beta": 0.5}},
    tuned={"margin": Range(0.05, 0.5), "beta": Range(0.5, 1.6)},
)
_add(
    "multi-similarity",
    "Multi-similarity (Wang et al. 2019).",
    "MultiSimilarityLoss",
    supervisions=_LABELS_FIRST,
    grouped=True,
    takes_miner=True,
    tuned={"alpha": Range(0.5, 20.0), "base": Range(0.2, 0.8)},
)
_add(
    "circle",
    "Circle (Sun et al. 2020): every pair weighted by how far it is from its optimum.",
    "CircleLoss",
    supervisions=_LABELS_FIRST,
    grouped=True,
    takes_miner=True,
    tuned={"m": Range(0.1, 0.6), "gamma": Range(8.0, 128.0)},
)
_add(
    "nt-xent",
    "Normalised temperature-scaled cross-entropy, InfoNCE (Oord et al. 2018, Chen et al. 2020).",
    "NTXentLoss",
    supervisions=_LABELS_FIRST,
    grouped=True,
    takes_miner=True,
    one_positive=True,
    tuned={"temperature": Range(0.02, 0.5)},
)
_add(
    "supcon",
    "Supervised contrastive (Khosla et al. 2020).",
    "SupConLoss",
    supervisions=_LABELS_FIRST,
    grouped=True,
    takes_miner=True,
    tuned={"temperature": Range(0.02, 0.5)},
)
_add(
    "tuplet-margin",
    "Tuplet margin (Yu and Tao 2019).",
    "TupletMarginLoss",
    computed_with="cosine-below-1",  # its angle has no gradient at 1
    scored_by="cosine",
    supervisions=_LABELS_FIRST,
    grouped=True,
    takes_miner=True,
    one_positive=True,
    tuned={"margin": Range(1.0, 20.0), "scale": Range(8.0, 128.0)},
)
_add(
    "lifted-structure",
    "Lifted structure (Oh Song et al. 2016).",
    "LiftedStructureLoss",
    distances=("euclidean",),
    supervisions=_LABELS_FIRST,
    grouped=True,
    takes_miner=True,
    one_positive=True,
    tuned={"neg_margin": Range(0.3, 2.0)},
)
_add(
    "generalized-lifted-structure",
    "Generalised lifted structure (Hermans et al. 2017).",
    "GeneralizedLiftedStructureLoss",
    distances=("euclidean",),
    supervisions=_LABELS_FIRST,
    grouped=True,
    takes_miner=True,
    tuned={"neg_margin": Range(0.3, 2.0)},
)
_add(
    "histogram",
    "Histogram (Ustinova and Lempitsky 2016): overlap of genuine and impostor similarities.",
    "HistogramLoss",
    computed_with="cosine-below-1",  # its last bin ends below 1
    scored_by="cosine",
    supervisions=_LABELS_FIRST,
    grouped=True,
    takes_miner=True,
    one_positive=True,
)
_add(
    "angular",
    "Angular (Wang et al. 2017).",
    "AngularLoss",
    distances=("euclidean",),
    takes_miner=True,
    tuned={"alpha": Range(30.0, 60.0)},
)
_add("n-pairs", "N-pairs (Sohn 2016).", "NPairsLoss")
_add(
    "nca",
    "Neighbourhood components analysis (Goldberger et al. 2005).",
    "NCALoss",
    distances=("squared-euclidean",),
    tuned={"softmax_scale": Range(0.5, 20.0)},
)
_add(
    "fast-ap",
    "FastAP (Cakir et al. 2019): average precision by histograms.",
    "FastAPLoss",
    distances=("euclidean",),
    tuned={"num_bins": Range(5, 30)},
)
_add(
    "smooth-ap",
    "Smooth-AP (Brown et al. 2020): average precision by sigmoids.",
    "SmoothAPLoss",
    tuned={"temperature": Range(0.005, 0.1)},
)
_add(
    "pnp",
    "PNP (Li et al. 2021): penalises negatives before positives.",
    "PNPLoss",
    tuned={"anneal": Range(0.005, 0.1)},
)
_add(
    "ranked-list",
    "Ranked list (Wang et al. 2019).",
    "RankedListLoss",
    distances=("euclidean",),
    defaults={"euclidean": {"margin": 0.4, "Tn": 4}},
    tuned={"margin": Range(0.2, 0.8), "Tn": Range(0.5, 5.0)},
)
_add(
    "dynamic-soft-margin",
    "Dynamic soft margin (Zhang and Rusinkiewicz 2019).",
    "DynamicSoftMarginLoss",
    distances=("euclidean",),
    takes_miner=True,
    # Its paper takes one positive and one hard negative an image; all triplets of a batch, mostly easy, drown those.
    miner="BatchEasyHardMiner",
    # Wider than the distances: at its own -2 the library's histogram overflows once all pairs are well apart.
    defaults={"euclidean": {"min_val": -2.6}},
)
_add(
    "normalized-softmax",
    "Normalised softmax (Zhai and Wu 2018): cross-entropy of cosines to class weights.",
    "NormalizedSoftmaxLoss",
    sizes=_SIZES,
    tuned={"temperature": Range(0.02, 0.3)},
)
_add(
    "arcface",
    "ArcFace (Deng et al. 2019): additive angular margin.",
    "ArcFaceLoss",
    sizes=_SIZES,
    tuned={"margin": Range(5.0, 40.0), "scale": Range(8.0, 128.0)},
)
_add(
    "sub-center-arcface",
    "Sub-center ArcFace (Deng et al. 2020).",
    "SubCenterArcFaceLoss",
    sizes=_SIZES,
    tuned={"margin": Range(5.0, 40.0), "scale": Range(8.0, 128.0)},
)
_add(
    "cosface",
    "CosFace (Wang et al. 2018): additive cosine margin.",
    "CosFaceLoss",
    sizes=_SIZES,
    tuned={"margin": Range(0.05, 0.5), "scale": Range(8.0, 128.0)},
)
_add(
    "sphereface",
    "SphereFace (Liu et al. 2017): multiplicative angular margin.",
    "SphereFaceLoss",
    sizes=_SIZES,
    tuned={"margin": Range(2, 4), "scale": Range(1.0, 64.0)},
)
_add(
    "large-margin-softmax",
    "Large-margin softmax (Liu et al. 2016).",
    "LargeMarginSoftmaxLoss",
    sizes=_SIZES,
    # Its paper anneals towards the library's margin of 4, over thousands of updates.
    defaults={"cosine": {"margin": 2}},
    tuned={"margin": Range(2, 4), "scale": Range(1.0, 64.0)},
)
_add(
    "soft-triple",
    "SoftTriple (Qian et al. 2019): several centres a class.",
    "SoftTripleLoss",
    sizes=_SIZES,
    tuned={"la": Range(5.0, 50.0), "gamma": Range(0.02, 0.5), "margin": Range(0.005, 0.1)},
)
_add(
    "proxy-nca",
    "Proxy-NCA (Movshovitz-Attias et al. 2017).",
    "ProxyNCALoss",
    distances=("squared-euclidean",),
    sizes=_SIZES,
)
_add(
    "proxy-anchor",
    "Proxy anchor (Kim et al. 2020).",
    "ProxyAnchorLoss",
    sizes=_SIZES,
    tuned={"margin": Range(0.02, 0.4), "alpha": Range(8.0, 64.0)},
)
_add(
    "p2s-grad",
    "P2SGrad (Zhang et al. 2019): squared error of cosines to class weights.",
    "P2SGradLoss",
    sizes=("num_classes", "descriptors_dim"),
    distances=("euclidean",),
    scored_by="cosine",
)


@LOSSES.register("cross-batch-memory")
class CrossBatchMemory(LibraryLoss):
    """Contrastive against a memory of earlier batches (Wang et al. 2020).

    Args:
        classes: number of classes; not used.
        embedding_dim: E, length of an embedding.
        memory_size: embeddings remembered.
        neg_margin: distance beyond which an impostor pair costs nothing.
    """

    def __init__(
        self,
        classes: int,
        embedding_dim: int,
        *,
        memory_size: int = 1024,
        neg_margin: Annotated[float, Range(0.1, 1.5)] = 0.5,
    ) -> None:
        losses = library().losses
        inner = losses.ContrastiveLoss(neg_margin=neg_margin)
        memory = losses.CrossBatchMemory(inner, embedding_dim, memory_size=memory_size)
        super().__init__(memory, inner.distance, ("labels",), takes_miner=True)


for _name, _summary, _fields in (
    ("batch-hard", "The hardest positive and negative of every anchor.", {"class_name": "BatchHardMiner"}),
    ("batch-easy-hard", "Easy positives, semi-hard negatives.", {"class_name": "BatchEasyHardMiner"}),
    ("multi-similarity", "Pairs that beat the hardest one of the other kind.", {"class_name": "MultiSimilarityMiner"}),
    ("hdc", "The hardest half of the pairs.", {"class_name": "HDCMiner"}),
    (
        "triplet-margin",
        "Triplets that violate a margin.",
        {"class_name": "TripletMarginMiner"},
    ),
    (
        "pair-margin",
        "Pairs that violate a margin.",
        {"class_name": "PairMarginMiner", "defaults": {"similarity": {"pos_margin": 0.8, "neg_margin": 0.2}}},
    ),
    ("angular", "Triplets whose angle exceeds a bound.", {"class_name": "AngularMiner", "distance_only": True}),
    (
        "distance-weighted",
        "Negatives uniform in distance (Wu et al. 2017).",
        {"class_name": "DistanceWeightedMiner", "distance_only": True},
    ),
    (
        "uniform-histogram",
        "Pairs uniform in distance.",
        {"class_name": "UniformHistogramMiner"},
    ),
):
    MINERS.add(_name, LibraryMinerFactory(**_fields), summary=_summary)
