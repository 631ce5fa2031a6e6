"""The page on this machine: a small HTTP server on loopback whose every answer comes from a verifier."""

import base64
import binascii
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from socket import SHUT_RDWR, socket
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.demo.answers import Answers
from siamese_mnist.demo.drawings import SIDE, Image, seen
from siamese_mnist.demo.page import TYPES, page_files
from siamese_mnist.errors import UsageError
from siamese_mnist.system.threads import threads

T = TypeVar("T")

HOST = "127.0.0.1"
MAX_BODY_BYTES = 1 << 18  # two drawings in base64 and their names
_DRAINED_BYTES = 1 << 22
_REQUEST_SECONDS = 20  # from a connection's first byte, or its last answer, to the end of the request
_ANSWER_SECONDS = 10  # for a browser to take an answer
_MOST_CONNECTIONS = 512
_LONGEST_LABEL = 9  # digits
_REMEMBERED = 64  # drawings
_ONCE = ("Host", "Origin", "Content-Length", "Content-Type", "Transfer-Encoding")
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

    Every connection has a thread; the model has one of its own, which answers one question at a time on one core.

    Args:
        answers: what answers.
        port: 0 takes any free one.

    Raises:
        UsageError: if the port cannot be had.
    """

    daemon_threads = True
    request_queue_size = _MOST_CONNECTIONS  # beyond the standard library's five, the system resets connections

    def __init__(self, answers: Answers, port: int = 0) -> None:
        self.answers = answers
        self.files = page_files("server")
        self.deadlines: dict[socket, float] = {}  # by connection, while its request is awaited
        self.seen = lru_cache(_REMEMBERED)(self._seen)
        self._model = ThreadPoolExecutor(1)
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

    def ask(self, question: Callable[[], T]) -> T:
        """What the model says, after the questions before this one."""

        def alone() -> T:
            with threads(1):
                return question()

        return self._model.submit(alone).result()

    def _seen(self, pixels: bytes | None) -> Image | None:
        """What the model sees of a drawing; remembered, as a stroke changes one drawing of two."""
        if pixels is None:
            return None
        return seen(np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE), self.answers.verifier.image_size)

    def service_actions(self) -> None:
        """Ends the connections whose request is overdue, however busily they dribble."""
        now = time.monotonic()
        for connection, deadline in list(self.deadlines.items()):
            if now > deadline:
                with suppress(OSError):
                    connection.shutdown(SHUT_RDWR)

    def verify_request(self, request: socket | tuple[bytes, socket], client_address: Any) -> bool:
        """Refuses a connection where there are very many."""
        return len(self.deadlines) < _MOST_CONNECTIONS

    def server_close(self) -> None:
        """Frees the port and the model's thread."""
        super().server_close()
        self._model.shutdown(wait=False, cancel_futures=True)

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Says nothing of a browser that went away; anything else is a bug and keeps its traceback."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _ANSWER_SECONDS
    # An answer leaves at once and in one piece; in two, the second waits for the receipt of the first.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: DemoServer

    def handle_one_request(self) -> None:
        self.server.deadlines[self.connection] = time.monotonic() + _REQUEST_SECONDS
        try:
            super().handle_one_request()
        finally:
            self.server.deadlines.pop(self.connection, None)

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
            self._check_headers()
            body = self._body()
            self.server.deadlines.pop(self.connection, None)
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
        try:
            asked = urlsplit(self.path)
        except ValueError as error:
            raise Refused(400, "the address is not valid") from error
        name = asked.path.removeprefix("/") or "index.html"
        posts = {
            "api/answer": self._answer,
            "api/nearest": self._nearest,
            "api/look": self._look,
            "api/scores": self._scores,
            "api/why": self._why,
        }
        gets = {"api/about": lambda: self.server.answers.about, "api/map": self._map, "api/puzzles": self._puzzles}
        if name in posts:
            self._check_method("POST")
            self._send_json(200, posts[name](_fields(self.headers.get_content_type(), body)))
            return
        if name in self.server.files:
            self._check_method("GET", "HEAD")
            self._send(200, TYPES[PurePosixPath(name).suffix], self.server.files[name])
        elif name in gets:
            self._check_method("GET", "HEAD")
            self._send_json(200, gets[name]())
        elif name == "api/sample":
            self._check_method("GET", "HEAD")
            self._send_json(200, self._sample(parse_qs(asked.query)))
        else:
            raise Refused(404, "there is nothing of that name")

    def _answer(self, fields: dict[str, Any]) -> dict[str, Any]:
        drawings = [_drawing(fields, side) for side in ("left", "right")]

        def found() -> dict[str, Any]:
            left, right = map(self.server.seen, drawings)
            answer = None
            if left is not None and right is not None:
                answer = dataclasses.asdict(self.server.answers.compare(left, right))
            return {"left": _image(left), "right": _image(right), "answer": answer}

        return self.server.ask(found)

    def _nearest(self, fields: dict[str, Any]) -> dict[str, Any]:
        drawing = _drawing(fields, "drawing")

        def found() -> dict[str, Any]:
            image, answers = self.server.seen(drawing), self.server.answers
            if image is None:
                return {"nearest": [], "place": None}
            nearest = [{"label": each.label, "image": _image(each.image)} for each in answers.nearest(image)]
            return {"nearest": nearest, "place": answers.place(image)}

        return self.server.ask(found)

    def _look(self, fields: dict[str, Any]) -> dict[str, Any]:
        drawing = _drawing(fields, "drawing")

        def found() -> dict[str, Any]:
            image, neighbours = self.server.seen(drawing), self.server.answers.neighbours
            look = neighbours.look(image) if neighbours and image is not None else None
            if look is None:
                return {"image": _image(image), "look": None}
            return {"image": _image(image), "look": {**look._asdict(), "direction": look.direction.tolist()}}

        return self.server.ask(found)

    def _scores(self, fields: dict[str, Any]) -> dict[str, Any]:
        image, others = self._images(fields, "image"), self._images(fields, "others")
        return {"scores": self.server.ask(lambda: self.server.answers.scores(image[0], others))}

    def _why(self, fields: dict[str, Any]) -> dict[str, Any]:
        drawings = [_drawing(fields, side) for side in ("left", "right")]

        def found() -> dict[str, Any]:
            left, right = map(self.server.seen, drawings)
            maps = None if left is None or right is None else self.server.answers.why(left, right)
            return {"why": maps and {side: each.tolist() for side, each in maps._asdict().items()}}

        return self.server.ask(found)

    def _map(self) -> dict[str, Any]:
        def found() -> dict[str, Any]:
            neighbours = self.server.answers.neighbours
            plane = neighbours.plane if neighbours else None
            return {"map": plane and {"points": plane.points.tolist(), "labels": plane.labels.tolist()}}

        return self.server.ask(found)

    def _puzzles(self) -> dict[str, Any]:
        found = self.server.ask(self.server.answers.puzzles)
        return {
            "puzzles": [{**each._asdict(), "left": _image(each.left), "right": _image(each.right)} for each in found]
        }

    def _images(self, fields: dict[str, Any], name: str) -> NDArray[np.uint8]:
        """The pixels (N, H, W) of images of the model's size, one or more, of a request."""
        height, width = self.server.answers.verifier.image_size
        if name not in fields:
            raise Refused(400, f"the body has no {name!r}")
        pixels = _decoded(fields[name], name)
        if not pixels or len(pixels) % (height * width):
            raise Refused(400, f"{name!r} must be images of {height} x {width} grey pixels, got {len(pixels)} bytes")
        return np.frombuffer(pixels, np.uint8).reshape(-1, height, width)

    def _sample(self, query: dict[str, list[str]]) -> dict[str, Any]:
        label = query.get("label", [""])[0]
        if len(label) > _LONGEST_LABEL:
            raise Refused(400, f"a label has {_LONGEST_LABEL} digits at most; api/about names the classes")
        known = label.isascii() and label.isdigit()
        image = self.server.ask(lambda: self.server.answers.sample(int(label))) if known else None
        if image is None:
            raise Refused(404, f"there is no test image of label {label!r}; api/about names the classes")
        return {"image": _image(image)}

    def _check_headers(self) -> None:
        """Refuses headers that two readers could understand in two ways."""
        for name in _ONCE:
            if len(self.headers.get_all(name, ())) > 1:
                self.close_connection = True
                raise Refused(400, f"the header {name} may be given once only", Connection="close")

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


def _drawing(fields: dict[str, Any], name: str) -> bytes | None:
    """The pixels of a drawing of a request, or None where it is null: nothing is drawn."""
    if name not in fields:
        raise Refused(400, f"the body has no {name!r}")
    if fields[name] is None:
        return None
    pixels = _decoded(fields[name], name, "null or base64")
    if len(pixels) != SIDE * SIDE:
        raise Refused(400, f"{name!r} must be {SIDE} x {SIDE} grey pixels, one byte each, got {len(pixels)} bytes")
    return pixels


def _decoded(value: Any, name: str, form: str = "base64") -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise Refused(400, f"{name!r} must be {form}") from error


def _image(image: NDArray[np.uint8] | None) -> dict[str, Any] | None:
    if image is None:
        return None
    height, width = image.shape
    return {"height": height, "width": width, "pixels": base64.b64encode(image.tobytes()).decode()}
