"""A recipe: how to train, and what where a variant leaves it open."""

import siamese_mnist as sm

glance = sm.Recipe(
    protocol=sm.TrainingProtocol(train_pairs=6400, test_pairs=1000, epochs=1, pretrain_epochs=1, schedule="steps"),
    parts=sm.Parts(backbone="report", head="diagonal"),
    summary="A first look: one epoch of each phase, 6,400 pairs to train on and 1,000 to test.",
)
