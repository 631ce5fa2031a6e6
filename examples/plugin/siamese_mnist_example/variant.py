"""A variant: a design, and the parts that define it."""

import siamese_mnist as sm

difference = sm.Variant(
    design="difference",
    parts=sm.Parts(head="classifier"),
    summary="The report's 2-class head on what its CNN sees in the difference of the two images.",
)
