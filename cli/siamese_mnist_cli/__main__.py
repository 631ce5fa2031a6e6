"""`python -m siamese_mnist_cli`."""

from siamese_mnist_cli.main import main

main()
