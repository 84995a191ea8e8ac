"""Access a Kaggle kernel through Kaggle's client: push it, ask for its status, fetch its log and its result."""

import errno
import json
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.digits import COMPETITION_URL
from pipeline.kaggle.client import ACCOUNT_URL, KaggleError, run_client, summarise
from pipeline.kaggle.competition import COMPETITION_NAME, MIN_FREE_BYTES, Limits
from pipeline.utils.files import explain_write_error

CPU = "none"
"""Accelerator: none, so that the kernel runs on Kaggle's CPU."""
PHONE_REMEDY = f"verify your phone number at {ACCOUNT_URL}, or train on Kaggle's CPU: --accelerator {CPU}"
REMEDIES = {
    r"quota": f"wait until Kaggle's weekly hours return, see {ACCOUNT_URL}, or train on its CPU: --accelerator {CPU}",
    r"session count": "wait until one of your kernels ends, or stop it at https://www.kaggle.com/code",
    r"phone|verify your|verified": PHONE_REMEDY,
    r"cannot (be )?download|internet|resolve host|name resolution": (
        f"Kaggle gives a kernel internet access only after you have verified your phone number at {ACCOUNT_URL}"
    ),
}
"""What to do, by a pattern of Kaggle's message."""


def push_kernel(ref: str, script: str, accelerator: str, internet: bool, limits: Limits) -> None:
    """Create a private kernel with the competition's data, which Kaggle starts.

    Args:
        ref: its name on Kaggle, OWNER/NAME.
        script: Python source.
        accelerator: Kaggle's name of a GPU, or `CPU`.
        internet: whether the kernel needs internet access.
        limits: time-outs.

    Raises:
        KaggleError: Kaggle rejects it; or, if retryable, it is unknown whether the kernel arrived.
    """
    metadata = {
        "id": ref,
        "title": ref.rpartition("/")[2],
        "code_file": "train.py",
        "language": "python",
        "kernel_type": "script",
        "is_private": True,
        "enable_gpu": accelerator != CPU,
        "machine_shape": "" if accelerator == CPU else accelerator,
        "enable_internet": internet,
        "docker_image_pinning_type": "latest",
        "competition_sources": [COMPETITION_NAME],
    }
    with TemporaryDirectory() as folder:
        Path(folder, "train.py").write_text(script, encoding="utf-8")
        Path(folder, "kernel-metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        output = run_client("kernels", "push", "--path", folder, seconds=limits.upload)
    rejected = re.search(r"Kernel push error: *(.+)", output)  # the exit status is 0
    if rejected:
        raise KaggleError(with_remedy(f"Kaggle did not start the kernel ({summarise(rejected[1])})"))
    if "not valid competition sources" in output:
        raise KaggleError(
            f"Kaggle started the kernel without the competition's data: accept the rules at {COMPETITION_URL}/rules, "
            "then give the same command again"
        )
    if "successfully" not in output:
        raise KaggleError(f"Kaggle's client did not confirm the kernel ({summarise(output)})", retryable=True)


def with_remedy(message: str) -> str:
    """Return a message of Kaggle's, followed by what to do if that is known."""
    remedies = (remedy for pattern, remedy in REMEDIES.items() if re.search(pattern, message, re.IGNORECASE))
    return f"{message}: {next(remedies, 'correct the cause, then give the same command again')}"


def fetch_owner(limits: Limits) -> str:
    """Return the user name that belongs to the credentials."""
    output = run_client("config", "view", seconds=limits.answer)
    found = re.search(r"^- username: (?!None$)(\S+)$", output, re.MULTILINE)
    if not found:
        raise KaggleError(f"Kaggle's client does not know the user name ({summarise(output)}): create a new token")
    return found[1]


def fetch_status(ref: str, limits: Limits) -> str | None:
    """Return the status of a kernel in Kaggle's word, such as RUNNING; None if the account has no such kernel."""
    try:
        output = run_client("kernels", "status", ref, seconds=limits.answer)
    except KaggleError as error:
        if re.search("Cannot access kernel|404 Client Error", str(error)):  # Kaggle denies access to missing kernels
            return None
        raise
    found = re.search(r'has status "(?:\w+\.)?(\w+)"', output)
    if not found:
        raise KaggleError(f"Kaggle's client printed no status ({summarise(output)})", retryable=True)
    return found[1].upper()


def fetch_error(ref: str, limits: Limits) -> str:
    """Return the last error in the log of a kernel, in one line."""
    with TemporaryDirectory() as folder:
        try:  # a pattern that matches no file: the log is always written
            _fetch_output(ref, folder, "(?!)", limits)
        except KaggleError as error:
            return f"its log cannot be fetched: {error}"
        logs = list(Path(folder).glob("*.log"))
        lines = _read_log(logs[0]).splitlines() if logs else []
    lines = [line.strip() for line in lines if line.strip()] or ["it printed nothing"]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return summarise((errors or lines)[-1])


def download_result(ref: str, folder: Path, file: str, limits: Limits) -> None:
    """Download a file of a kernel's output, and its log, into `folder`. The file may be missing in the output.

    Raises:
        UserError: Kaggle rejects the request or cannot be reached, or the disk is full.
    """
    try:
        _fetch_output(ref, str(folder), f"^{re.escape(file)}$", limits)
    except KaggleError:
        if shutil.disk_usage(folder).free < MIN_FREE_BYTES:
            raise explain_write_error(folder / file, OSError(errno.ENOSPC, "no space left")) from None
        raise


def _fetch_output(ref: str, folder: str, pattern: str, limits: Limits) -> None:
    run_client("kernels", "output", ref, "--path", folder, "--file-pattern", pattern, seconds=limits.download)


def _read_log(path: Path) -> str:
    """Return the text of a log: Kaggle writes it as a JSON list of pieces."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return "".join(str(piece["data"]) for piece in json.loads(text))
    except (ValueError, TypeError, KeyError):
        return text
