"""Whether two pictures show the same class, by an exported network alone: python pair.py FOLDER LEFT RIGHT."""

import json
import sys

import onnxruntime

from siamese_mnist.data import Preprocessing

folder, *pictures = sys.argv[1:]
scorer = onnxruntime.InferenceSession(f"{folder}/pair_scorer.onnx")
about = json.loads(scorer.get_modelmeta().custom_metadata_map["siamese_mnist"])


def read(path: str):  # noqa: ANN201
    """A picture as a batch of one: (1, H, W) in grey, (1, 3, H, W) in colour."""
    size, channels = about["image_size"], about["channels"]
    image = Preprocessing(about["preprocessing"]).read(path, size=size, channels=channels)
    return image if channels == 1 else image[None]


left, right = map(read, pictures)
(score,), (probability,) = scorer.run(None, {"left": left, "right": right})
print("same" if score >= about["threshold"] else "different", f"{probability:.4f}")
