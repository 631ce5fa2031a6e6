"""A network worth drawing for, the page served both ways, and a browser to draw with."""

import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import siamese_mnist as sm
from siamese_mnist.demo.answers import describe, open_answers
from siamese_mnist.demo.digits import load_digits
from siamese_mnist.demo.runtime import FILES, RuntimeMissingError, fetch_runtime
from siamese_mnist.demo.server import DemoServer
from siamese_mnist.demo.static import write_static_demo

CHROMIUM, CHROMEDRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
CACHE = Path(__file__).parents[2] / "build" / "demo"


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each on stderr."""

    def log_message(self, *_):
        pass


@contextmanager
def running(server):
    """A server that answers in a thread of its own: its address, without a slash at the end."""
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def serve_folder(folder):
    return running(ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)))


@pytest.fixture(scope="session")
def fast_run(tmp_path_factory):
    """A run of the recipe `fast` on all built-in images, about ten seconds."""
    return Path(sm.run("siamese", recipe="fast", runs_dir=tmp_path_factory.mktemp("fast")).run_dir)


@pytest.fixture(scope="session")
def fast(fast_run):
    return open_answers(fast_run, None, np.random.default_rng(0))


@pytest.fixture(scope="session")
def served(fast):
    """Address of the page that Python answers."""
    with running(DemoServer(fast)) as address:
        yield f"{address}/"


@pytest.fixture(scope="session")
def runtime():
    try:
        return fetch_runtime(CACHE)
    except RuntimeMissingError as error:
        pytest.skip(f"onnxruntime-web is not to be had: {error}")


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory):
    """A folder that looks like onnxruntime-web."""
    folder = tmp_path_factory.mktemp("stand-in")
    for name in FILES:
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture(scope="session")
def unpowered(fast_run, stand_in, tmp_path_factory):
    """The static page with all but what runs it."""
    about = describe(fast_run)
    digits = load_digits(about.pop("config"))
    return write_static_demo(sm.load(fast_run), digits, about, tmp_path_factory.mktemp("site") / "live", stand_in)


@pytest.fixture(scope="session")
def static_folder(unpowered, runtime):
    shutil.copytree(runtime, unpowered.with_name("powered") / "live" / "runtime")
    return shutil.copytree(
        unpowered, unpowered.with_name("powered") / "live", ignore=lambda *_: ["runtime"], dirs_exist_ok=True
    )


@pytest.fixture(scope="session")
def static(static_folder):
    """Address of the page that the browser itself answers, below the root as on a site of documents."""
    with serve_folder(static_folder.parent) as address:
        yield f"{address}/live/"


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium that keeps what pages write to the console and what they ask the network for."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    for program in (CHROMIUM, CHROMEDRIVER):
        if not program.exists():
            pytest.skip(f"{program} is missing; install chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1000,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=str(CHROMEDRIVER)))
    driver.set_script_timeout(60)
    yield driver
    driver.quit()
