"""A run put to use: verifier, answers about files, estimator, ONNX."""
