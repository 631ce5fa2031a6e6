"""One part of every kind for siamese-mnist, the smallest useful one of each in a file of its own."""
