"""The server on loopback: what it gives, and whom it refuses."""

import base64
import http.client
import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from siamese_mnist.demo import server as servers
from siamese_mnist.demo.drawings import SIDE, seen
from siamese_mnist.demo.server import MAX_BODY_BYTES, DemoServer
from siamese_mnist.errors import UsageError

from .conftest import running

JSON = {"Content-Type": "application/json"}


class Client:
    """Requests to a server, each on a connection of its own."""

    def __init__(self, port):
        self.port = port

    def __call__(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        return response, content

    def json(self, method, path, fields=None, headers=JSON):
        response, content = self(method, path, None if fields is None else json.dumps(fields), headers)
        return response.status, json.loads(content)

    def raw(self, content):
        """Sends bytes as they are and reads until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def client(served):
    return Client(int(served.rstrip("/").rpartition(":")[2]))


@pytest.fixture(autouse=True)
def nothing_on_the_terminal(capfd):
    yield
    assert capfd.readouterr() == ("", "")


def drawn(image):
    """A test image as a drawing, enlarged."""
    return np.kron(image, np.ones((SIDE // 28, SIDE // 28), np.uint8))


def encoded(drawing):
    return base64.b64encode(drawing.tobytes()).decode()


def decoded(image):
    return np.frombuffer(base64.b64decode(image["pixels"]), np.uint8).reshape(image["height"], image["width"])


def test_answers_are_the_verifiers(client, fast, tenth):
    for left, right in (tenth.test.images[:2, 0].numpy(), tenth.test.images[[2, 5], 0].numpy()):
        drawings = [drawn(left), drawn(right)]
        status, found = client.json(
            "POST", "/api/answer", dict(zip(("left", "right"), map(encoded, drawings), strict=True))
        )
        assert status == 200
        one, other = (seen(each, (28, 28)) for each in drawings)
        np.testing.assert_array_equal(decoded(found["left"]), one)
        np.testing.assert_array_equal(decoded(found["right"]), other)
        answer = found["answer"]
        assert answer["score"] == pytest.approx(fast.verifier.score(one[None], other[None])[0], abs=1e-4)
        assert answer["probability"] == pytest.approx(fast.verifier.predict_proba(one[None], other[None])[0], abs=1e-6)
        assert answer["same"] is bool(fast.verifier.predict(one[None], other[None])[0])
        assert answer["stable"] is True


def test_an_empty_drawing_is_no_error(client, tenth):
    blank, digit = encoded(np.zeros((SIDE, SIDE), np.uint8)), encoded(drawn(tenth.test.images[0, 0].numpy()))
    nothing = {"left": None, "right": None, "answer": None}
    assert client.json("POST", "/api/answer", {"left": None, "right": None}) == (200, nothing)
    assert client.json("POST", "/api/answer", {"left": blank, "right": None}) == (200, nothing)
    status, found = client.json("POST", "/api/answer", {"left": None, "right": digit})
    assert (status, found["left"], found["answer"]) == (200, None, None)
    assert decoded(found["right"]).any()
    assert client.json("POST", "/api/nearest", {"drawing": blank}) == (200, {"nearest": [], "place": None})


def test_nearest(client, fast, tenth):
    digit = drawn(tenth.test.images[0, 0].numpy())
    status, found = client.json("POST", "/api/nearest", {"drawing": encoded(digit)})
    expected = fast.nearest(seen(digit, (28, 28)))
    assert status == 200
    assert len(expected) == 8
    assert [each["label"] for each in found["nearest"]] == [each.label for each in expected]
    for each, other in zip(found["nearest"], expected, strict=True):
        np.testing.assert_array_equal(decoded(each["image"]), other.image)


def test_samples_and_about(client, tenth):
    status, found = client.json("GET", "/api/sample?label=7")
    assert status == 200
    assert (tenth.test.images[tenth.test.labels == 7, 0].numpy() == decoded(found["image"])).all((1, 2)).any()
    status, about = client.json("GET", "/api/about")
    assert about["classes"] == list("0123456789")
    assert about["accuracy"] > 0.98


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "text/html"), ("/main.js", "text/javascript"), ("/style.css", "text/css")]
)
def test_files(client, path, kind):
    response, content = client("GET", path)
    assert response.status == 200
    assert response.headers.get_content_type() == kind
    assert content
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "http" not in policy
    assert "unsafe" not in policy
    head, nothing = client("HEAD", path)
    assert (head.headers["Content-Length"], nothing) == (str(len(content)), b"")


def test_the_page_names_no_other_place(client):
    for path in ("/", "/style.css", "/main.js", "/pad.js", "/engine.js"):
        assert not re.search(rb"""https?:|["'`(]//""", client("GET", path)[1])


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{}", "127.0.0.1", "127.0.0.1.evil.example:{}", "", "localhost:1"]
)
def test_another_host(client, host):
    response, content = client("GET", "/", headers={"Host": host.format(client.port)})
    assert response.status == 403
    assert "Host" in json.loads(content)["error"]


def test_its_own_names(client):
    for name in ("127.0.0.1", "localhost"):
        here = f"{name}:{client.port}"
        fields = json.dumps({"drawing": None})
        response, _ = client("POST", "/api/nearest", fields, {**JSON, "Host": here, "Origin": f"http://{here}"})
        assert response.status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_another_page(client, origin):
    response, content = client("POST", "/api/nearest", '{"drawing": null}', {**JSON, "Origin": origin})
    assert response.status == 403
    assert "page" in json.loads(content)["error"]


BLANK = base64.b64encode(bytes(SIDE * SIDE)).decode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "no 'left'"),
        ('{"left": null}', "no 'right'"),
        ('{"left": null, "right": 7}', "'right' must be null or base64"),
        ('{"left": "é", "right": null}', "'left' must be null or base64"),
        ('{"left": "AAA", "right": null}', "'left' must be null or base64"),
        ('{"left": "AAAA", "right": null}', "280 x 280 grey pixels, one byte each, got 3 bytes"),
        (json.dumps({"left": BLANK[:-4], "right": None}), "got 78399 bytes"),
    ],
)
def test_bad_bodies(client, body, message):
    response, content = client("POST", "/api/answer", body.encode() if isinstance(body, str) else body, JSON)
    assert response.status == 400
    assert message in json.loads(content)["error"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"others": ""}, "no 'image'"),
        ({"image": "", "others": ""}, "'image' must be images of 28 x 28 grey pixels, got 0 bytes"),
        ({"image": 7, "others": ""}, "'image' must be base64"),
        ({"image": encoded(np.zeros(784, np.uint8)), "others": "AAAA"}, "got 3 bytes"),
    ],
)
def test_bad_images(client, fields, message):
    status, found = client.json("POST", "/api/scores", fields)
    assert status == 400
    assert message in found["error"]


def test_scores_of_images(client, fast, tenth):
    images = tenth.test.images[:4, 0].numpy()
    status, found = client.json("POST", "/api/scores", {"image": encoded(images[:1]), "others": encoded(images[1:])})
    assert status == 200
    np.testing.assert_allclose(found["scores"], fast.verifier.score(images[[0, 0, 0]], images[1:]), atol=1e-4)


def test_too_large(client):
    response, content = client("POST", "/api/answer", b"x" * (MAX_BODY_BYTES + 1), JSON)
    assert response.status == 413
    assert str(MAX_BODY_BYTES) in json.loads(content)["error"]
    claimed = client.raw(f"POST /api/answer HTTP/1.1\r\nHost: x\r\nContent-Length: {'9' * 5000}\r\n\r\n".encode())
    assert claimed.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/etc/passwd", {}, 404),
        ("GET", "/../server.py", {}, 404),
        ("GET", "/normalise.js", {}, 404),
        ("GET", "/api/sample", {}, 404),
        ("GET", "/api/sample?label=10", {}, 404),
        ("GET", "/api/sample?label=-1", {}, 404),
        ("GET", f"/api/sample?label={'9' * 5000}", {}, 400),
        ("GET", "//[/", {}, 404),
        ("GET", "/api/answer", {}, 405),
        ("POST", "/", JSON, 405),
        ("POST", "/api/answer", {"Content-Type": "text/plain"}, 415),
        ("PUT", "/", {}, 501),
    ],
)
def test_refusals(client, method, path, headers, status):
    response, content = client(method, path, "{}" if method == "POST" else None, headers)
    assert response.status == status
    assert json.loads(content)["error"]
    assert response.headers["Content-Type"] == "application/json"
    if status == 405:
        assert response.headers["Allow"]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"hello\r\n\r\n", b"400"),
        (b"POST /api/answer HTTP/1.1\r\nHost: x\r\n\r\n", b"411"),
        (b"POST /api/answer HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /api/answer HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"403"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
    ],
)
def test_broken_requests(client, request_bytes, status):
    answer = client.raw(request_bytes)
    assert status in answer.split(b"\r\n", 1)[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def test_an_address_that_is_none(client):
    answer = client.raw(f"GET http://[/ HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_browser_that_goes_away(client):
    """Half a body, then nothing: no answer, no complaint, and the next one is served."""
    assert client.raw(b"POST /api/answer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{") == b""
    assert client.json("GET", "/api/about")[0] == 200


def test_a_browser_that_dribbles(fast, monkeypatch):
    """A request that does not end is dropped at its deadline, however little time lies between two bytes."""
    monkeypatch.setattr(servers, "_REQUEST_SECONDS", -1)
    monkeypatch.setattr(servers._Handler, "timeout", None)  # silence alone would be borne for ever
    with running(DemoServer(fast)) as address:
        dribbling = Client(int(address.rpartition(":")[2]))
        with socket.create_connection(("127.0.0.1", dribbling.port), timeout=60) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nX-")
            assert connection.recv(1) == b""


def test_two_hundred_at_once(client):
    """Nobody is sent away, and every answer is right."""
    question = {"left": encoded(np.zeros((SIDE, SIDE), np.uint8)), "right": None}
    with ThreadPoolExecutor(200) as pool:
        found = list(pool.map(lambda _: client.json("POST", "/api/answer", question), range(200)))
    assert found == [(200, {"left": None, "right": None, "answer": None})] * 200


def test_two_requests_on_one_connection(client):
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=60)
    for _ in range(2):
        connection.request("POST", "/api/nearest", "nothing", JSON)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["error"]) == (400, "the body is not JSON")
    connection.close()


def test_only_loopback(fast):
    with DemoServer(fast) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"
        assert server.url == f"http://127.0.0.1:{server.server_port}/"


def test_a_taken_port(served, fast):
    port = int(served.rstrip("/").rpartition(":")[2])
    with pytest.raises(UsageError, match=rf"port {port} cannot be used .*name another with --port, or 0"):
        DemoServer(fast, port)
