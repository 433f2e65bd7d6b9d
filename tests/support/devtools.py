"""A page in headless Chromium, driven over the DevTools protocol as a person would."""

import asyncio
import base64
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import aiohttp

from tests.support.browser import CHROMIUM, OPTIONS
from tests.support.patience import PATIENCE


class Tab:
    """An open page: `run` takes JavaScript, `choose` gives files to an input, `photograph` takes a screenshot."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: aiohttp.ClientWebSocketResponse):
        self._loop, self._socket, self._numbers = loop, socket, count(1)
        self.requested: list[str] = []  # addresses that the page asked for
        self.complaints: list[str] = []  # errors in its console

    def run(self, script: str) -> object:
        """Return what an async function with this body returns."""
        expression = f"(async () => {{ {script} }})()"
        answer = self._ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until a JavaScript expression holds."""
        end = time.monotonic() + PATIENCE
        while not self.run(f"return Boolean({condition});"):
            assert time.monotonic() < end, (
                f"not within {PATIENCE} s: {condition}; {self.run('return document.body.innerText')}"
            )
            time.sleep(0.3)

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files in an input, as in the browser's own dialogue."""
        root = self._ask("DOM.getDocument")["root"]["nodeId"]
        node = self._ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._ask("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def point(self, selector: str, x: float, y: float) -> None:
        """Move the mouse to a place of an element, given as shares of its width and height."""
        place = f"const place = document.querySelector('{selector}'); "
        box = self.run(
            place + "place.scrollIntoView({ block: 'center' }); const box = place.getBoundingClientRect(); "
            "return [box.x, box.y, box.width, box.height];"
        )
        self._ask("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + x * box[2], y=box[1] + y * box[3])

    def resize(self, width: int, height: int) -> None:
        """Give the page so many pixels."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def photograph(self, picture: Path, whole: bool = True) -> Path:
        """Take a screenshot of the whole page, or of what is in the window."""
        shot = self._ask("Page.captureScreenshot", captureBeyondViewport=whole)
        picture.write_bytes(base64.b64decode(shot["data"]))
        return picture

    def go(self, address: str) -> None:
        """Open an address, and wait until it is loaded."""
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._ask(f"{domain}.enable")
        self._ask("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def _ask(self, method: str, **parameters: object) -> dict:
        return self._loop.run_until_complete(asyncio.wait_for(self._answer(method, parameters), PATIENCE))

    async def _answer(self, method: str, parameters: dict) -> dict:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive()).data)
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self._note(message.get("method"), message.get("params", {}))

    def _note(self, method: str | None, facts: dict) -> None:
        if method == "Network.requestWillBeSent":
            self.requested.append(facts["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(facts["exceptionDetails"]))
        elif method == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.complaints.append(facts["entry"]["text"])


@contextmanager
def browser(address: str, *options: str) -> Iterator[Tab]:
    """A page on disk or of 127.0.0.1, open in a browser that reaches no other machine."""
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *OPTIONS, "--window-size=1300,1000", f"--user-data-dir={profile}", *options]
        program = subprocess.Popen([*command, "about:blank"], stderr=subprocess.PIPE, text=True)
        try:
            port = _port(program)
            session = loop.run_until_complete(_session())
            socket = loop.run_until_complete(_socket(session, port))
            try:
                tab = Tab(loop, socket)
                tab.go(address)
                yield tab
            finally:
                loop.run_until_complete(socket.close())
                loop.run_until_complete(session.close())
        finally:
            program.terminate()
            program.wait(30)
            loop.close()


def _port(program: subprocess.Popen) -> int:
    for line in program.stderr or ():
        if found := re.search(r"DevTools listening on ws://127\.0\.0\.1:(\d+)/", line):
            return int(found[1])
    raise AssertionError("the browser does not start")


async def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession()


async def _socket(session: aiohttp.ClientSession, port: int) -> aiohttp.ClientWebSocketResponse:
    async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
        (page,) = [target for target in await answer.json() if target["type"] == "page"]
    return await session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)
