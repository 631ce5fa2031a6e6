"""onnxruntime-web, which runs an exported network in a browser: fetched once with npm, kept in a folder."""

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

from siamese_mnist.errors import UsageError
from siamese_mnist.system.files import workspace

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
# All that one thread of WebAssembly needs, with SHA-256.
FILES = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
_SECONDS = 300


class RuntimeMissingError(UsageError):
    """onnxruntime-web is not to be had; the message says why."""


def fetch_runtime(cache: Path) -> Path:
    """The folder with the files of `FILES`: from `cache`, or fetched into it with npm.

    Args:
        cache: folder that keeps it, made if missing.

    Raises:
        RuntimeMissingError: if npm is missing or fails, or a file is not the expected one.
    """
    place = cache / f"{PACKAGE}-{VERSION}"
    if place.is_dir():
        return place
    if shutil.which("npm") is None:
        raise RuntimeMissingError("npm is not installed")
    try:
        with workspace(cache) as folder:
            files = folder / "files"
            files.mkdir()
            _unpack(_pack(folder), files)
            if not place.is_dir():
                files.rename(place)
    except (OSError, tarfile.TarError) as error:
        raise RuntimeMissingError(f"{PACKAGE} cannot be kept in {cache} ({error})") from error
    return place


def _pack(folder: Path) -> Path:
    command = ["npm", "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise RuntimeMissingError(f"npm did not bring {PACKAGE} {VERSION} within {_SECONDS} s") from error
    if done.returncode:
        raise RuntimeMissingError(f"npm cannot bring {PACKAGE} {VERSION} (exit status {done.returncode})")
    archives = list(folder.glob("*.tgz"))
    if len(archives) != 1:
        raise RuntimeMissingError(f"npm brought {len(archives)} archives of {PACKAGE} {VERSION}, not one")
    return archives[0]


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as members:
        for name, expected in FILES.items():
            try:
                found = members.extractfile(f"package/dist/{name}")
            except KeyError:
                found = None
            content = found.read() if found else b""
            if hashlib.sha256(content).hexdigest() != expected:
                raise RuntimeMissingError(f"{name} of {PACKAGE} {VERSION} is not the expected file (checksum differs)")
            (folder / name).write_bytes(content)
