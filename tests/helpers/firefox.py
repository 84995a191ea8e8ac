"""Debian's Firefox for tests, by its own protocol, Marionette. Playwright drives only its own builds of Firefox."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers.waiting import free_port, wait_until


class Firefox:
    """A window of Firefox. A command that fails raises a RuntimeError with Firefox's message."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")
        self._count = 0
        self._receive()  # its greeting
        self.run("NewSession", capabilities={"alwaysMatch": {}})

    def run(self, command: str, **parameters: Any) -> Any:
        """Run a WebDriver command and return its value."""
        self._count += 1
        message = json.dumps([0, self._count, f"WebDriver:{command}", parameters]).encode()
        self._connection.sendall(f"{len(message)}:".encode() + message)
        _, _, error, answer = self._receive()
        if error:
            raise RuntimeError(error["message"])
        return answer["value"] if isinstance(answer, dict) and "value" in answer else answer

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self.run("ExecuteScript", script=f"return {expression};", args=[])

    def drag(self, points: list[tuple[float, float]]) -> None:
        """Draw a line with the mouse, in pixels of the window."""
        moves: list[dict[str, Any]] = [
            {"type": "pointerMove", "x": round(x), "y": round(y), "duration": 20} for x, y in points
        ]
        actions = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}
        self.run("PerformActions", actions=[mouse])

    def _receive(self) -> Any:
        """Return the next message: its length, a colon, and JSON."""
        length = b""
        while (byte := self._answers.read(1)) != b":":
            assert byte, "Firefox closed the connection"
            length += byte
        return json.loads(self._answers.read(int(length)))


@contextmanager
def opened_firefox(profile: Path) -> Iterator[Firefox]:
    """Start Firefox with an empty profile, and stop it at the end."""
    port, program = free_port(), shutil.which("firefox-esr")
    assert program
    (profile / "user.js").write_text(f'user_pref("marionette.port", {port});\n')
    command = [program, "--headless", "--marionette", "--no-remote", "--profile", str(profile)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    connections: list[socket.socket] = []

    def connects() -> bool:
        try:
            connections.append(socket.create_connection(("127.0.0.1", port), timeout=60))
        except OSError:
            return False
        return True

    try:
        wait_until(connects, "Firefox does not start")
        with connections[0]:
            yield Firefox(connections[0])
    finally:
        process.terminate()
        process.wait(20)
