"""What a page in the browser must not have: overflow, missing images, complaints, and what axe-core finds."""

import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

AXE = "axe-core", "4.14.1"
PLACE = Path(__file__).parents[1] / "build" / f"{AXE[0]}-{AXE[1]}.js"
WIDTHS, SCHEMES = (400, 1280), ("light", "dark")

FINDINGS = """
const done = arguments[arguments.length - 1];
const options = {
  runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] },
  resultTypes: ["violations"],
  iframes: false,
};
axe.run(document, options).then((found) => done(
  found.violations
    .filter((each) => ["serious", "critical"].includes(each.impact))
    .flatMap(({ id, nodes }) => nodes.slice(0, 3).map((node) => `${id}: ${node.target} ${node.any[0]?.message ?? ""}`)),
), (error) => done([String(error)]));
"""
BROKEN_IMAGES = (
    "return [...document.images].filter((each) => each.complete && !each.naturalWidth).map((each) => each.src)"
)
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


def axe_source():
    """The text of axe-core, from npm, kept in the build folder; the test is skipped where npm cannot bring it."""
    if not PLACE.is_file():
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed, which brings axe-core")
        with tempfile.TemporaryDirectory() as folder:
            command = ["npm", "pack", "@".join(AXE), "--pack-destination", folder]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode:
                pytest.skip(f"npm cannot bring {'@'.join(AXE)} (exit status {done.returncode})")
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as members:
                text = members.extractfile("package/axe.min.js").read()
        PLACE.parent.mkdir(exist_ok=True)
        PLACE.write_bytes(text)
    return PLACE.read_text(encoding="utf-8")


def resized(browser, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def themed(browser, scheme, *, still=True):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    features += [{"name": "prefers-reduced-motion", "value": "reduce"}] if still else []
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def restored(browser):
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def troubles(browser, address, axe):
    """All that is wrong with a page, at two widths, light and dark."""
    browser.get_log("browser")
    resized(browser, WIDTHS[0])
    themed(browser, SCHEMES[0])
    browser.get(address)
    browser.execute_script(axe)
    found = []
    for width in WIDTHS:
        resized(browser, width)
        if (more := browser.execute_script(OVERFLOW)) > 0:
            found.append(f"{width}: {more} pixels too wide")
    found += findings(browser)
    found += [f"missing: {each}" for each in browser.execute_script(BROKEN_IMAGES)]
    return found + [json.dumps(each) for each in browser.get_log("browser")]


def findings(browser):
    """What axe-core, which the page has been given, finds in it as it is now, light and dark."""
    found = []
    for scheme in SCHEMES:
        themed(browser, scheme)
        found += [f"{scheme}: {each}" for each in browser.execute_async_script(FINDINGS)]
    return found
