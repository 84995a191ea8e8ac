"""Faults of credentials that exist but cannot be used, with the path, the fault and the remedy. No value is shown."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

TOKEN_FILES = ("access_token", "access_token.txt")
KEY_FILE = "kaggle.json"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
UTF8_MARK = b"\xef\xbb\xbf"


def find_faults(folders: list[Path]) -> Iterator[tuple[str, str]]:
    """Yield the location and the fault of each credential that Kaggle's client cannot use.

    Args:
        folders: the folders in which the client searches, without duplicates.
    """
    named = os.environ.get("KAGGLE_CONFIG_DIR", "")
    if named and Path(named).is_file():
        yield "KAGGLE_CONFIG_DIR", f"names the file {named}: set it to the folder that contains {KEY_FILE}"
    token = os.environ.get("KAGGLE_API_TOKEN", "")
    if token and not Path(token).exists() and (fault := _token_fault(token)):
        yield "KAGGLE_API_TOKEN", fault
    for folder in folders:
        checks: list[tuple[str, Callable[[str], str | None]]] = [(name, _token_fault) for name in TOKEN_FILES]
        for name, check in [*checks, (KEY_FILE, _key_fault)]:
            if fault := _file_fault(folder / name, check):
                yield str(folder / name), fault
        for path in sorted(folder.glob("*")) if folder.is_dir() else ():
            for name in ("access_token", KEY_FILE):
                stem = Path(name).stem
                if path.name.lower().startswith(stem) and path.name not in (*TOKEN_FILES, KEY_FILE):
                    yield str(path), f"is not read under this name: rename it to {name}"


def _file_fault(path: Path, check: Callable[[str], str | None]) -> str | None:
    """Return the fault of a file of credentials, or None if it does not exist or can be used."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"cannot be read ({error.strerror or error}): save it as a file, and run chmod 600 {path}"
    if content.startswith(UTF16_MARKS) or b"\0" in content:
        return "is UTF-16, as PowerShell writes it: save it as UTF-8 (in PowerShell: Set-Content -Encoding ascii)"
    if content.startswith(UTF8_MARK):
        return "begins with a byte order mark: save it as UTF-8 without it"
    try:
        return check(content.decode().strip())
    except UnicodeDecodeError:
        return "is not UTF-8: create it again"


def _token_fault(text: str) -> str | None:
    """Return the fault of a token, or None."""
    if not text:
        return "is empty: save the token in it"
    if text.startswith("{"):
        return f"contains JSON, not a token: rename the file to {KEY_FILE}"
    if text[0] in "\"'" or text[-1] in "\"'":
        return "has quotes around the token: remove them"
    if "=" in text.split("\n", maxsplit=1)[0].rstrip("="):
        return "contains an assignment: leave only the token, without the name and the equals sign"
    return None


def _key_fault(text: str) -> str | None:
    """Return the fault of the content of kaggle.json, or None."""
    try:
        values = json.loads(text)
    except ValueError:
        return "is not JSON: download it again, or use a token"
    if not isinstance(values, dict) or not all(values.get(name) for name in ("username", "key")):
        return 'lacks "username" or "key": download it again, or use a token'
    return None
