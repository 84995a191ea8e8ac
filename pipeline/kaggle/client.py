"""Kaggle's official client: a process of its own, under a time limit, that tells no secrets and goes when we go."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from time import monotonic

from pipeline.digits import COMPETITION_URL
from pipeline.errors import UserError
from pipeline.kaggle.credentials import SETTINGS, require_credentials

MAX_SHOWN = 300
"""Characters of the client's words in an error."""

# The client ends when our process does, however it ends: nobody else holds the other end of its standard input.
WRAPPER = """
import os, runpy, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
runpy.run_module("kaggle", run_name="__main__", alter_sys=True)
"""


class KaggleError(UserError):
    """What Kaggle refuses, or its client fails in.

    Attributes:
        retryable: whether the call may succeed later, or may already have succeeded. If not, Kaggle has refused it.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


def run_client(*arguments: str, seconds: float, growing: Callable[[str], float] | None = None, most: float = 0) -> str:
    """Run `kaggle competitions ...` and return what it printed, without credentials.

    Args:
        arguments: what follows `competitions`.
        seconds: its time limit.
        growing: called with what it has printed on stderr, some times a second; whenever what it returns has grown, the
            time limit begins anew.
        most: the time limit that holds even so, where `growing` is given.

    Raises:
        KaggleError: it failed, or was ended at its time limit.
        UserError: there are no credentials, or no client.
    """
    credentials = require_credentials()
    if find_spec("kaggle") is None:
        raise UserError("Kaggle's client is not installed: make setup, or pip install kaggle six")
    command = [sys.executable, "-P", "-c", WRAPPER, "-W", "competitions", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VERBOSE")}
    theirs, ours = os.pipe()
    try:
        with subprocess.Popen(
            command,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, "PYTHONUTF8": "1"},
        ) as process:
            try:
                out, err = (text.decode(errors="replace") for text in _await_process(process, seconds, growing, most))
            except BaseException:
                process.kill()
                raise
    finally:
        os.close(theirs)
        os.close(ours)
    out, err = credentials.hide(out), credentials.hide(err)
    if process.returncode:
        raise explain_refusal(out, err, credentials.place)
    return out


def _await_process(
    process: subprocess.Popen[bytes], seconds: float, growing: Callable[[str], float] | None, most: float
) -> tuple[bytes, bytes]:
    """Return what a process prints on stdout and stderr; see `run_client` for its time limits."""
    began = grown = monotonic()
    size = 0.0
    while True:
        try:
            return process.communicate(timeout=min(seconds, 0.2))
        except subprocess.TimeoutExpired as pause:
            now = monotonic()
            if growing:
                before, size = size, growing((pause.stderr or b"").decode(errors="replace"))
                grown = now if size > before else grown
            if now - grown >= seconds or (growing and now - began >= most):
                raise KaggleError(
                    f"Kaggle did not answer within {now - grown:.0f} seconds: try again later", retryable=True
                ) from None


def explain_refusal(out: str, err: str, place: str) -> KaggleError:
    """Return what a failed call of the client means, and what to do about it."""
    words = f"{out}\n{err}".lower()
    found = re.search(r"\b([45]\d\d) (?:client|server) error", words)
    status = int(found[1]) if found else 0
    said = summarise(err) or summarise(out) or "without a word"

    def told(*phrases: str) -> bool:
        return any(phrase in words for phrase in phrases)

    if told("could not submit"):
        return KaggleError(f"Kaggle did not take the upload ({said}): try again")
    if status == 401 or told("authentication required", "unauthenticated"):
        return KaggleError(f"Kaggle does not accept the credentials in {place}: put a new token there, from {SETTINGS}")
    if status == 403 or told("don't have access", "permission", "forbidden", "rules"):
        return KaggleError(
            f"Kaggle forbids it ({said}): accept the competition's rules at {COMPETITION_URL}/rules, then try again"
        )
    if status == 429 or told("rate limit", "too many requests"):
        return KaggleError(f"Kaggle asks for fewer calls ({said}): wait some minutes, then try again", retryable=True)
    if status >= 500 or told("on kaggle's side"):
        return KaggleError(f"Kaggle is out of order ({said}): try again later", retryable=True)
    if told("connection", "timed out", "max retries"):
        return KaggleError(f"Kaggle cannot be reached ({said}): see to the network, then try again", retryable=True)
    if told("traceback (most recent", "if this is unexpected", "expecting value"):
        return KaggleError(f"Kaggle's client failed ({said}): try again", retryable=True)
    # Where Kaggle gives a reason, the client leaves out the status: it may be a 400 or a 500.
    return KaggleError(
        f"Kaggle refuses ({said}); if you have not joined yet, accept the rules at {COMPETITION_URL}/rules",
        retryable=not status,
    )


def summarise(text: str) -> str:
    """Return in one line what the client said last or, before its general advice, first; progress bars are left out."""
    lines = [line.strip() for line in re.split(r"[\r\n]", text.strip()) if "%|" not in line]
    paragraphs = [paragraph for paragraph in "\n".join(lines).strip().split("\n\n") if paragraph]
    if not paragraphs:
        return ""
    one = paragraphs[0].splitlines()
    if one[0].startswith(("Traceback", "usage")):
        one = paragraphs[-1].splitlines()[-1:]
    return shorten(" ".join(one))


def shorten(text: str) -> str:
    """Return a text in one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}..."
