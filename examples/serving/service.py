"""A verifier behind HTTP: MODEL=digits.zip uvicorn service:app."""

import os

from fastapi import FastAPI, HTTPException
from pydantic import Base64Bytes, BaseModel

import siamese_mnist as sm

app = FastAPI()
verifier = sm.load(os.environ.get("MODEL", "digits.zip"))
point = verifier.operating_point(prior=0.1)  # one pair in ten is the same


class Pair(BaseModel):
    """Two picture files, in base 64."""

    left: Base64Bytes
    right: Base64Bytes


@app.post("/pair")
def answer(pair: Pair) -> dict[str, object]:
    """Whether both show the same class."""
    try:
        left, right = (verifier.read(content)[None] for content in (pair.left, pair.right))
    except sm.UsageError as error:
        raise HTTPException(422, str(error)) from error
    score = verifier.score(left, right)
    same, probability = bool(point.predict(score)[0]), float(point.probability(score)[0])
    return {
        "same": same,
        "probability": probability,
        "warnings": verifier.warnings(left)[0] + verifier.warnings(right)[0],
    }
