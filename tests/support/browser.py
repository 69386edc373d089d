"""A headless Chromium that opens a page and says what is wrong with it.

Speaks the DevTools protocol over `--remote-debugging-pipe`: messages are JSON, ended by a zero byte.
"""

import base64
import contextlib
import html
import json
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_S = 60.0

PROBE = """(async () => {
  const videos = Array.from(document.querySelectorAll("video"));
  await Promise.all(videos.map((video) => new Promise((done) => {
    video.addEventListener("loadedmetadata", done);
    video.addEventListener("error", done);
    video.preload = "metadata";
    video.load();
  })));
  const posters = await Promise.all(videos.map(async (video) => {
    const picture = new Image();
    picture.src = video.poster;
    return picture.decode().then(() => true, () => false);
  }));
  const images = Array.from(document.images);
  await Promise.all(images.map((image) => image.decode().catch(() => null)));
  const width = document.documentElement.clientWidth;
  const beyond = Array.from(document.querySelectorAll("main *")).filter((item) => {
    if (item.closest(".scroll") && !item.matches(".scroll")) return false;
    const box = item.getBoundingClientRect();
    return box.width > 0 && (box.right > width + 1 || box.left < -1);
  });
  return {
    width: width,
    scroll_width: document.documentElement.scrollWidth,
    beyond: beyond.map((item) => item.outerHTML.slice(0, 120)),
    images: images.length,
    broken: images.filter((image) => !(image.complete && image.naturalWidth > 0)).length,
    videos: videos.length,
    unplayable: videos.filter((video) => !(video.readyState >= 1 && video.videoWidth > 0)).length,
    posterless: posters.filter((shown) => !shown).length,
  };
})()"""


@dataclass
class Seen:
    """What Chromium found on a page."""

    facts: dict[str, Any]
    """See `PROBE`."""
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings of console, scripts and network."""
    requests: list[str] = field(default_factory=list)
    """Whatever the page loads from outside itself."""


class Browser:
    """One tab."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # Chromium reads descriptor 3 and writes descriptor 4; the shell puts the pipes there.
        command = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        flags = ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"]
        flags += ["--no-first-run", "--disable-dev-shm-usage", f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", command, CHROMIUM, *flags],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._number = b"", 0
        self._events: list[dict[str, Any]] = []
        self._session: str | None = None
        tabs = self._call("Target.getTargets")["targetInfos"]
        tab = next(tab["targetId"] for tab in tabs if tab["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(
        self, page: Path, width: int, height: int = 900, dark: bool = False, script: bool = True
    ) -> Seen:
        """Opens the page in a window of that size, without scripts of its own where `script` is false."""
        self._events.clear()
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                   mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._call("Emulation.setScriptExecutionDisabled", value=not script)
        self._call("Page.navigate", url=page.as_uri())
        self._wait("Page.loadEventFired")
        facts = self.evaluate(PROBE) if script else {}
        seen = Seen(facts)
        for event in self._events:
            details = event["params"]
            if event["method"] == "Log.entryAdded" and details["entry"]["level"] in ("warning", "error"):
                seen.complaints.append(details["entry"]["text"])
            elif event["method"] == "Runtime.exceptionThrown":
                seen.complaints.append(str(details["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled" and details["type"] in ("warning", "error"):
                seen.complaints.append(str(details["args"]))
            elif event["method"] == "Network.requestWillBeSent":
                address = details["request"]["url"]
                if not address.startswith(("data:", "blob:")) and address != page.as_uri():
                    seen.requests.append(address)
        return seen

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression on the page."""
        found = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def picture(self, path: Path) -> None:
        """PNG of the whole page."""
        found = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        """Ends the browser."""
        with contextlib.suppress(OSError, AssertionError):
            self._session = None
            self._call("Browser.close")
        os.close(self._out)
        os.close(self._in)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _call(self, method: str, **params: Any) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._out, content) :]
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._events.append(answer)

    def _wait(self, method: str) -> None:
        while not any(event["method"] == method for event in self._events):
            self._events.append(self._read())

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"Chromium said nothing for {PATIENCE_S} s"
            piece = os.read(self._in, 1 << 20)
            assert piece, "Chromium ended"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextlib.contextmanager
def browser(profile: Path) -> Generator[Browser]:
    """A Chromium that is closed afterwards; profile: a folder for what it keeps."""
    opened = Browser(profile)
    try:
        yield opened
    finally:
        opened.close()


def visible(content: str) -> str:
    """The texts of a page."""
    texts = re.sub(r"(?s)<(style|script)>.*?</\1>|<[^>]+>", "", content)
    return html.unescape(texts).replace("\u00a0", " ")
