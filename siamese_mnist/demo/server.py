"""The page on this machine: a small HTTP server on loopback whose every answer comes from a verifier."""

import base64
import binascii
import dataclasses
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from socket import socket
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.demo.answers import Answers
from siamese_mnist.demo.drawings import SIDE, Drawing, seen
from siamese_mnist.demo.page import TYPES, page_files
from siamese_mnist.errors import UsageError

HOST = "127.0.0.1"
MAX_BODY_BYTES = 1 << 18  # two drawings in base64 and their names
_DRAINED_BYTES = 1 << 22
_SILENCE_SECONDS = 30
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A request that gets no answer.

    Args:
        status: HTTP status, 4xx.
        message: why, and the mend.
        headers: more headers of the answer.
    """

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


class DemoServer(ThreadingHTTPServer):
    """Serves the page and its answers on 127.0.0.1.

    Args:
        answers: what answers.
        port: 0 takes any free one.

    Raises:
        UsageError: if the port cannot be had.
    """

    daemon_threads = True

    def __init__(self, answers: Answers, port: int = 0) -> None:
        self.answers = answers
        self.files = page_files("server")
        self.lock = threading.Lock()  # one question at a time: the cores are the model's
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(
                f"port {port} cannot be used ({reason}); name another with --port, or 0 for any free one"
            ) from error

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.server_port}/"

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Says nothing of a browser that went away; anything else is a bug and keeps its traceback."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _SILENCE_SECONDS
    # An answer leaves at once and in one piece; in two, the second waits for the receipt of the first.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: DemoServer

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def version_string(self) -> str:
        return "siamese-mnist"

    def log_message(self, format: str, *values: Any) -> None:
        """The terminal is the user's."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers what the standard library refuses, such as a line that is not HTTP."""
        self.close_connection = True
        self.request_version = self.protocol_version  # a line without a valid version counts as HTTP/0.9: no status
        self._send_json(code, {"error": message or self.responses.get(code, ("refused",))[0]})

    def _serve(self) -> None:
        body = b""
        try:
            body = self._body()
            self._check_origin()
            self._route(body)
        except Refused as refusal:
            self._send_json(refusal.status, {"error": str(refusal)}, **refusal.headers)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception:
            self.close_connection = True
            self._send_json(500, {"error": "the server failed; the terminal shows why"})
            raise

    def _route(self, body: bytes) -> None:
        asked = urlsplit(self.path)
        name = asked.path.removeprefix("/") or "index.html"
        posts = {"api/answer": self._answer, "api/nearest": self._nearest}
        if name in posts:
            self._check_method("POST")
            self._send_json(200, posts[name](_fields(self.headers.get_content_type(), body)))
            return
        if name in self.server.files:
            self._check_method("GET", "HEAD")
            self._send(200, TYPES[PurePosixPath(name).suffix], self.server.files[name])
        elif name == "api/about":
            self._check_method("GET", "HEAD")
            self._send_json(200, self.server.answers.about)
        elif name == "api/sample":
            self._check_method("GET", "HEAD")
            self._send_json(200, self._sample(parse_qs(asked.query)))
        else:
            raise Refused(404, "there is nothing of that name")

    def _answer(self, fields: dict[str, Any]) -> dict[str, Any]:
        answers = self.server.answers
        drawings = [_drawing(fields, side) for side in ("left", "right")]
        with self.server.lock:
            left, right = (None if each is None else seen(each, answers.verifier.image_size) for each in drawings)
            answer = None if left is None or right is None else dataclasses.asdict(answers.compare(left, right))
        return {"left": _image(left), "right": _image(right), "answer": answer}

    def _nearest(self, fields: dict[str, Any]) -> dict[str, Any]:
        answers, drawing = self.server.answers, _drawing(fields, "drawing")
        with self.server.lock:
            image = None if drawing is None else seen(drawing, answers.verifier.image_size)
            found = [] if image is None else answers.nearest(image)
        return {"nearest": [{"label": each.label, "image": _image(each.image)} for each in found]}

    def _sample(self, query: dict[str, list[str]]) -> dict[str, Any]:
        label = query.get("label", [""])[0]
        with self.server.lock:
            image = self.server.answers.sample(int(label)) if label.isascii() and label.isdigit() else None
        if image is None:
            raise Refused(404, f"there is no test image of label {label!r}; api/about names the classes")
        return {"image": _image(image)}

    def _check_origin(self) -> None:
        """Lets only this server's own page ask: another page may reach it by a name that it made resolve to here."""
        here = {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}
        if self.headers.get("Host") not in here:
            raise Refused(403, f"the Host header must be {HOST}:{self.server.server_port}")
        if self.headers.get("Origin", self.server.url[:-1]) not in {f"http://{name}" for name in here}:
            raise Refused(403, "only this server's own page may ask")

    def _check_method(self, *allowed: str) -> None:
        if self.command not in allowed:
            raise Refused(405, f"this takes {' or '.join(allowed)}", Allow=", ".join(allowed))

    def _body(self) -> bytes:
        """The request's body, read before anything is refused, so that the refusal reaches the browser."""
        given = self.headers.get("Content-Length")
        if given is None:
            if self.command != "POST" and "Transfer-Encoding" not in self.headers:
                return b""
            self.close_connection = True
            raise Refused(411, "a request needs a Content-Length", Connection="close")
        if not (given.isascii() and given.isdigit()) or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise Refused(400, "the Content-Length is not valid", Connection="close")
        # Python refuses to convert thousands of digits.
        length = int(given) if len(given) < 20 else sys.maxsize
        if length > MAX_BODY_BYTES:
            self.close_connection = True
            self._drain(length)
            raise Refused(413, f"a request may have {MAX_BODY_BYTES} bytes", Connection="close")
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError
        return body

    def _drain(self, length: int) -> None:
        left = min(length, _DRAINED_BYTES)
        while left > 0 and (chunk := self.rfile.read(min(left, 1 << 16))):
            left -= len(chunk)

    def _send_json(self, status: int, values: object, **headers: str) -> None:
        self._send(status, "application/json", json.dumps(values).encode(), **headers)

    def _send(self, status: int, kind: str, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _fields(kind: str, body: bytes) -> dict[str, Any]:
    if kind != "application/json":
        raise Refused(415, "the body must be application/json")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "the body is not JSON") from error
    if not isinstance(fields, dict):
        raise Refused(400, "the body must be a JSON object")
    return fields


def _drawing(fields: dict[str, Any], name: str) -> Drawing | None:
    """A drawing of a request, or None where it is null: nothing is drawn."""
    if name not in fields:
        raise Refused(400, f"the body has no {name!r}")
    if fields[name] is None:
        return None
    try:
        pixels = base64.b64decode(fields[name], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise Refused(400, f"{name!r} must be null or base64") from error
    if len(pixels) != SIDE * SIDE:
        raise Refused(400, f"{name!r} must be {SIDE} x {SIDE} grey pixels, one byte each, got {len(pixels)} bytes")
    return np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE)


def _image(image: NDArray[np.uint8] | None) -> dict[str, Any] | None:
    if image is None:
        return None
    height, width = image.shape
    return {"height": height, "width": width, "pixels": base64.b64encode(image.tobytes()).decode()}
