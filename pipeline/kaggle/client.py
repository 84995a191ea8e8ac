"""Run Kaggle's official client in a subprocess.

The subprocess has a time-out, its output is stripped of credentials, and it ends when this process ends.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from time import monotonic

from pipeline.digits import COMPETITION_URL
from pipeline.errors import UserError
from pipeline.kaggle.credentials import TOKEN_PAGE_URL, require_credentials
from pipeline.utils.imports import install_command

ACCOUNT_URL = "https://www.kaggle.com/settings"
OLDEST_CLIENT = [2, 2, 4]
"""Version of the oldest client that runs as `python -m kaggle` and has every command that is used."""
MAX_MESSAGE_CHARS = 300
"""Limit for the client's output in an error message."""

# Only this process holds the other end of the client's standard input, so the client ends whenever this process ends.
WRAPPER = """
import os, runpy, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
runpy.run_module("kaggle", run_name="__main__", alter_sys=True)
"""


class KaggleError(UserError):
    """Raised if Kaggle rejects a request or its client fails.

    Attributes:
        retryable: whether the call may succeed later, or may already have succeeded. If False, Kaggle has rejected it.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


def run_client(
    *arguments: str, seconds: float, progress: Callable[[str], float] | None = None, max_seconds: float = 0
) -> str:
    """Run `kaggle ...` and return its stdout, without credentials.

    Args:
        arguments: the arguments after `kaggle`.
        seconds: time-out of the call.
        progress: called several times a second with the stderr so far; returns a measure of progress. Each time the
            measure grows, the time-out starts again.
        max_seconds: time-out of the entire call if `progress` is given.

    Raises:
        KaggleError: the client failed or timed out.
        UserError: there are no credentials, or the client is not installed or too old.
    """
    credentials = require_credentials()
    _require_client()
    command = [sys.executable, "-P", "-c", WRAPPER, "-W", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VERBOSE")}
    read_end, write_end = os.pipe()
    try:
        with subprocess.Popen(
            command,
            stdin=read_end,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, "PYTHONUTF8": "1"},
        ) as process:
            try:
                out, err = (
                    text.decode(errors="replace") for text in _await_process(process, seconds, progress, max_seconds)
                )
            except BaseException:
                process.kill()
                raise
    finally:
        os.close(read_end)
        os.close(write_end)
    out, err = credentials.hide(out), credentials.hide(err)
    if process.returncode:
        raise explain_failure(out, err, credentials.location)
    return out


def _require_client() -> None:
    """Raise a UserError if Kaggle's client is not installed, or older than `OLDEST_CLIENT`."""
    try:
        found = version("kaggle")
    except PackageNotFoundError:
        raise UserError(f"Kaggle's client is not installed: run {install_command('kaggle')}") from None
    if [int(part) for part in re.findall(r"\d+", found)[:3]] < OLDEST_CLIENT:
        raise UserError(f"Kaggle's client {found} is too old: pip install --upgrade kaggle")


def _await_process(
    process: subprocess.Popen[bytes], seconds: float, progress: Callable[[str], float] | None, max_seconds: float
) -> tuple[bytes, bytes]:
    """Return the stdout and stderr of a process; see `run_client` for the time-outs."""
    started = last_progress = monotonic()
    size = 0.0
    while True:
        try:
            return process.communicate(timeout=min(seconds, 0.2))
        except subprocess.TimeoutExpired as pause:
            now = monotonic()
            if progress:
                before, size = size, progress((pause.stderr or b"").decode(errors="replace"))
                last_progress = now if size > before else last_progress
            if now - last_progress >= seconds or (progress and now - started >= max_seconds):
                raise KaggleError(
                    f"Kaggle did not answer within {now - last_progress:.0f} seconds: try again later", retryable=True
                ) from None


def explain_failure(out: str, err: str, location: str) -> KaggleError:
    """Return an error that explains a failed call of the client and gives a remedy.

    Args:
        out: the client's stdout.
        err: the client's stderr.
        location: where the credentials are stored.
    """
    output = f"{out}\n{err}".lower()
    found = re.search(r"\b([45]\d\d) (?:client|server) error", output)
    status = int(found[1]) if found else 0
    detail = summarise(err) or summarise(out) or "no message"

    def mentions(*phrases: str) -> bool:
        return any(phrase in output for phrase in phrases)

    if mentions("could not submit"):
        return KaggleError(f"Kaggle did not accept the upload ({detail}): try again")
    if status == 401 or mentions("authentication required", "unauthenticated"):
        return KaggleError(
            f"Kaggle rejected the credentials in {location}: replace them with a new token, {TOKEN_PAGE_URL}"
        )
    if status == 403 or mentions("don't have access", "permission", "forbidden", "rules", "verify your"):
        return KaggleError(
            f"Kaggle denied access ({detail}). Check in this order: the credentials in {location} are those of the "
            f"account that you use; accept the rules at {COMPETITION_URL}/rules; verify your phone number, and your "
            f"identity if Kaggle asks for it, at {ACCOUNT_URL}; then try again"
        )
    if status == 404:
        return KaggleError(
            f"Kaggle's address was not found ({detail}): a proxy may have answered, or the client is too old; check "
            "your network connection, or pip install --upgrade kaggle"
        )
    if status == 429 or mentions("rate limit", "too many requests"):
        return KaggleError(
            f"Kaggle's rate limit is exceeded ({detail}): wait a few minutes, then try again", retryable=True
        )
    if status >= 500 or mentions("on kaggle's side"):
        return KaggleError(f"Kaggle returned a server error ({detail}): try again later", retryable=True)
    if mentions("connection", "timed out", "max retries"):
        return KaggleError(
            f"Kaggle cannot be reached ({detail}): check your network connection, then try again", retryable=True
        )
    if mentions("expecting value", "jsondecodeerror"):
        return KaggleError(
            f"Kaggle's answer is not JSON, so its client failed ({detail}): a proxy or a sign-in page of the network "
            "may have answered; open https://www.kaggle.com in a browser, then try again",
            retryable=True,
        )
    if mentions("traceback (most recent", "if this is unexpected"):
        return KaggleError(f"Kaggle's client failed ({detail}): try again", retryable=True)
    # If Kaggle gives a reason, the client omits the status: it may be a 400 or a 500.
    return KaggleError(
        f"Kaggle rejected the request ({detail}); if you have not joined, accept the rules at {COMPETITION_URL}/rules",
        retryable=not status,
    )


def summarise(text: str) -> str:
    """Return the client's message in one line, without progress bars.

    The message is the first paragraph (general advice follows it), or the last line after a traceback or a usage text.
    """
    lines = [line.strip() for line in re.split(r"[\r\n]", text.strip()) if "%|" not in line]
    paragraphs = [paragraph for paragraph in "\n".join(lines).strip().split("\n\n") if paragraph]
    if not paragraphs:
        return ""
    message = paragraphs[0].splitlines()
    if message[0].startswith(("Traceback", "usage")):
        message = paragraphs[-1].splitlines()[-1:]
    return shorten(" ".join(message))


def shorten(text: str) -> str:
    """Return a text in one line of at most `MAX_MESSAGE_CHARS` characters and an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_MESSAGE_CHARS else f"{line[:MAX_MESSAGE_CHARS]}..."
