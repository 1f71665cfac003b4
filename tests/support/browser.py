"""Chromium without a window, driven through its debugging pipe (the Chrome DevTools Protocol)."""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.support.terminal import PATIENCE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_KEYS = {"Escape": 27, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Tab": 9}
_PART = 1 << 16


class Browser:
    """One page of one browser. A context manager.

    requests: the addresses that the page asked for. problems: errors that it logged, such as refusals by its policy.
    """

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None
        self.requests: list[str] = []
        self.problems: list[str] = []
        commands, self._send = os.pipe()
        self._receive, answers = os.pipe()
        take = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            [
                "bash",
                "-c",
                take,
                "bash",
                str(commands),
                str(answers),
                CHROMIUM,
                *options,
                f"--user-data-dir={folder}",
            ],
            pass_fds=(commands, answers),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(folder), "DBUS_SESSION_BUS_ADDRESS": "disabled:"},
        )
        os.close(commands)
        os.close(answers)
        self._rest, self._number, self._session = b"", 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._session = ""
        self.call("Browser.close")
        self._process.wait(PATIENCE)
        os.close(self._send)
        os.close(self._receive)

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def _next(self) -> Any:
        while b"\0" not in self._rest:
            part = os.read(self._receive, _PART)
            assert part, "the browser has gone"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, event: Any) -> None:
        parameters = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.problems.append(parameters["entry"]["text"])
        elif event["method"] == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(parameters["exceptionDetails"]))

    def open(self, page: Path, *, columns: int = 1200, rows: int = 900, dark: bool = False) -> None:
        """Open a page of the disk in a window of so many pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=columns, height=rows, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.requests.clear()
        self.problems.clear()
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=page.absolute().as_uri())
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    def value(self, script: str) -> Any:
        """The value of an expression in the page."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until an expression in the page holds. It may fail while the page is still loading."""
        script = f"(() => {{ try {{ return {condition} }} catch {{ return false }} }})()"
        end = time.monotonic() + PATIENCE
        while not self.value(script):
            assert time.monotonic() < end, f"waited in vain for {condition}"
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """Press a key: a letter, or a name such as `ArrowRight`."""
        code = {"key": key, "windowsVirtualKeyCode": _KEYS.get(key, ord(key[0].upper()))}
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def draw(self, path: Path) -> None:
        """Write a picture of the window to `path`."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
