"""Find the credentials that Kaggle's client uses, and hide them in its output."""

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.digits import COMPETITION_URL
from pipeline.errors import UserError
from pipeline.kaggle.credential_faults import find_faults

TOKEN_PAGE_URL = "https://www.kaggle.com/settings/api"
WELL_FORMED = re.compile(r"[!-~]+")
"""A token: printable ASCII characters without spaces and line ends."""

HOW_TO_GET_CREDENTIALS = f"""no Kaggle credentials found. To create them:
1. Sign in or register at https://www.kaggle.com
2. Accept the competition's rules at {COMPETITION_URL}/rules
3. Generate a new token at {TOKEN_PAGE_URL}
4. Save it as ~/.kaggle/access_token and protect it: chmod 600 ~/.kaggle/access_token"""


@dataclass(frozen=True)
class Credentials:
    """The credentials that the client uses.

    Attributes:
        location: the environment variable or the file that holds them.
        secrets: the secret values of these credentials and of all others found; never shown.
        well_formed: whether the secret value of these credentials is one line of ASCII characters without spaces. The
            client prints a value that it cannot send.
    """

    location: str
    secrets: tuple[str, ...] = field(repr=False)
    well_formed: bool = True

    def hide(self, text: str) -> str:
        """Return a text without the secrets, authorization headers and query strings of URLs."""
        parts = {part for secret in self.secrets for part in (secret, *secret.splitlines()) if part.strip()}
        for part in sorted(parts, key=len, reverse=True):
            text = text.replace(part, "[hidden]")
        text = re.sub(r"(?i)\b(bearer|basic) +[^\s'\"]+", r"\1 [hidden]", text)
        return re.sub(r"(https?://[^\s?'\")]+)\?[^\s'\")]+", r"\1?[hidden]", text)


def find_credentials() -> Credentials | None:
    """Return the credentials that the client uses, searched in its order, or None if there are none."""
    kaggle, config = _folders()
    token = os.environ.get("KAGGLE_API_TOKEN", "")  # the token, or the path of a file that holds it
    name, key = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY", "")
    stored, oauth = _read_strings(config / "kaggle.json"), _read_strings(kaggle / "credentials.json")
    has_name = bool(name or "username" in stored)  # the client ignores a key without a user name
    candidates = {
        "KAGGLE_API_TOKEN": token,
        str(kaggle / "access_token"): _read_text(kaggle / "access_token"),
        str(kaggle / "access_token.txt"): _read_text(kaggle / "access_token.txt"),
        "KAGGLE_KEY": has_name and key,
        str(config / "kaggle.json"): has_name and stored.get("key"),
        str(kaggle / "credentials.json"): oauth.get("refresh_token"),
    }
    token_in_file = _read_text(Path(token)) if token else ""
    values = [
        *candidates.values(),
        token_in_file,
        key,
        stored.get("key"),
        oauth.get("access_token"),
    ]
    secrets = tuple({value for value in values if isinstance(value, str) and value})
    for location, value in candidates.items():
        if value:
            sent = token_in_file if value is token and token_in_file else value
            return Credentials(location, secrets, WELL_FORMED.fullmatch(str(sent)) is not None)
    return None


def require_credentials() -> Credentials:
    """Return the credentials.

    Raises:
        UserError: there are none, and the message explains in four steps how to create them; or they cannot be used,
            and the message names their place and fault.
    """
    found = find_credentials()
    for location, fault in find_faults(list(dict.fromkeys(_folders()))):
        if found is None or found.location == location:
            raise UserError(f"{location}: {fault}")
    if found is None:
        raise UserError(HOW_TO_GET_CREDENTIALS)
    if not found.well_formed:
        raise UserError(
            f"{found.location}: must be the token alone, in one line of ASCII characters without spaces; "
            f"remove everything else, or create a new token at {TOKEN_PAGE_URL}"
        )
    return found


def _folders() -> tuple[Path, Path]:
    """Return the folder of tokens, and that of kaggle.json."""
    kaggle = Path.home() / ".kaggle"
    config = Path(os.environ.get("KAGGLE_CONFIG_DIR") or kaggle)
    if not config.exists():
        config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kaggle"
    return kaggle, config


def _read_text(path: Path) -> str:
    """Return a file's text without surrounding whitespace, or an empty string if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _read_strings(path: Path) -> dict[str, str]:
    """Return the string values of a JSON object by key; empty if the file is missing or damaged."""
    try:
        content = json.loads(_read_text(path))
    except ValueError:
        return {}
    return (
        {name: value for name, value in content.items() if isinstance(value, str)} if isinstance(content, dict) else {}
    )
