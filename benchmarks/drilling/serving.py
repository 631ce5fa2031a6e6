"""The demo server: many at once, requests that are none, clients that dribble."""

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from drilling.base import Drill, Failure, Place

_SIDE = 280
_SLOWEST_SECONDS = 1.0
_DROPPED_SECONDS = 30.0


@contextmanager
def _server(place: Place) -> Iterator[int]:
    """Port of a server with a good run; what it prints on stderr ends up in a file."""
    run = next(place.runs.glob("siamese-*"))
    words = [sys.executable, "-m", "siamese_mnist_cli", "demo", str(run), "--no-browser"]
    with (place.folder / "stderr").open("w") as err:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=err, text=True, env=dict(os.environ))
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline().rstrip("/\n").rpartition(":")[2])
    finally:
        process.terminate()
        process.wait()


def demo(place: Place) -> Iterator[Failure]:
    """Bursts of requests, refusals and a client that dribbles."""
    with _server(place) as port:
        for path, fields in (("/", None), ("/api/answer", "left right"), ("/api/nearest", "drawing")):
            for count in (50, 200):
                payloads = [_request(port, path, fields, place.rng.randrange(200)) for _ in range(count)]
                yield from _judged(
                    f"{count} times {path}", asyncio.run(_burst(port, payloads)), timed=place.timed and count == 50
                )
        host = f"Host: 127.0.0.1:{port}\r\n"
        for line, headers in (
            ("GET http://[/", host),
            (f"GET /api/sample?label={'9' * 5000}", host),
            ("GET /", host + host),
            ("GET /", host + "Host: x\r\n"),
            ("POST /api/answer", host + "Content-Length: 0\r\nContent-Length: 0\r\n"),
            ("POST /api/answer", host + "Content-Length: 0\r\nContent-Length: 9\r\n"),
            ("POST /api/answer", host + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
        ):
            answer = _raw(port, f"{line} HTTP/1.1\r\n{headers}\r\n".encode())
            yield None if answer.startswith(b"HTTP/1.1 400 ") else f"{line[:40]}: {answer[:40]!r}"
        said = (place.folder / "stderr").read_text()
        yield f"it said {said[-300:]!r}" if "Traceback" in said else None
        seconds = _dribbled(port)
        yield None if seconds < _DROPPED_SECONDS else f"a client that dribbles is served for {seconds:.0f} s"


def _request(port: int, path: str, fields: str | None, column: int) -> bytes:
    """A request with drawings of its own."""
    head = f"{'GET' if fields is None else 'POST'} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    if fields is None:
        return f"{head}\r\n".encode()
    drawing = np.zeros((_SIDE, _SIDE), np.uint8)
    drawing[40:240, column : column + 20] = 255
    body = json.dumps(dict.fromkeys(fields.split(), base64.b64encode(drawing.tobytes()).decode())).encode()
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def _burst(port: int, payloads: list[bytes]) -> list[tuple[str, float]]:
    async def ask(payload: bytes) -> tuple[str, float]:
        start = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(payload)
            await writer.drain()
            status = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            writer.close()
        except (OSError, asyncio.IncompleteReadError) as error:
            status = type(error).__name__
        return status, time.monotonic() - start

    return await asyncio.gather(*map(ask, payloads))


def _judged(what: str, answers: list[tuple[str, float]], *, timed: bool) -> Iterator[Failure]:
    for status, _ in answers:
        yield None if status == "200" else f"{what}: {status}"
    slowest = max(seconds for _, seconds in answers)
    if timed:
        yield None if slowest < _SLOWEST_SECONDS else f"{what}: the slowest took {slowest:.2f} s"


def _raw(port: int, content: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(content)
        return connection.recv(4096)


def _dribbled(port: int) -> float:
    """Seconds that a client is borne which sends a header every second and never ends."""
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        try:
            while time.monotonic() - start < 2 * _DROPPED_SECONDS:
                connection.sendall(b"GET / HTTP/1.1\r\n" if time.monotonic() - start < 0.5 else b"X: y\r\n")
                try:
                    if not connection.recv(1):
                        break
                except TimeoutError:
                    pass
        except OSError:
            pass
    return time.monotonic() - start


DRILLS = [Drill("demo server", 762, 761, 40, demo)]
