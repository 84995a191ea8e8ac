"""What Kaggle's client signs in with: where it is, never what it is."""

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.digits import COMPETITION_URL
from pipeline.errors import UserError

SETTINGS = "https://www.kaggle.com/settings/api"

HOW_TO_GET_CREDENTIALS = f"""there are no credentials for Kaggle. To get them, once:
1. Sign in at https://www.kaggle.com, or make an account there.
2. Accept the competition's rules at {COMPETITION_URL}/rules
3. Generate a new token at {SETTINGS}
4. Save it as ~/.kaggle/access_token, a file that nobody else may read: chmod 600 ~/.kaggle/access_token"""


@dataclass(frozen=True)
class Credentials:
    """Credentials that the client will take.

    Attributes:
        place: the environment variable or the file that holds them.
        secrets: all values, of these credentials and of others at hand, that nobody may see.
    """

    place: str
    secrets: tuple[str, ...] = field(repr=False)

    def hide(self, text: str) -> str:
        """Return a text without the secrets, and without what signs an address in it."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "[hidden]")
        text = re.sub(r"(?i)\b(bearer|basic) +[\w+/=.~-]+", r"\1 [hidden]", text)
        return re.sub(r"(https?://[^\s?'\")]+)\?[^\s'\")]+", r"\1?[hidden]", text)


def find_credentials() -> Credentials | None:
    """Return the credentials that the client takes, looked for in its own order, or None where there are none."""
    kaggle = Path.home() / ".kaggle"
    config = Path(os.environ.get("KAGGLE_CONFIG_DIR") or kaggle)
    if not config.exists():
        config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kaggle"
    token = os.environ.get("KAGGLE_API_TOKEN", "")  # or the path of a file that holds it
    name, key = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY", "")
    kept, oauth = _strings_in(config / "kaggle.json"), _strings_in(kaggle / "credentials.json")
    named = bool(name or "username" in kept)  # a key is taken with a name only, from wherever
    places = {
        "KAGGLE_API_TOKEN": token,
        str(kaggle / "access_token"): _text_of(kaggle / "access_token"),
        str(kaggle / "access_token.txt"): _text_of(kaggle / "access_token.txt"),
        "KAGGLE_KEY": named and key,
        str(config / "kaggle.json"): named and kept.get("key"),
        str(kaggle / "credentials.json"): oauth.get("refresh_token"),
    }
    values = [*places.values(), _text_of(Path(token)) if token else "", key, kept.get("key"), oauth.get("access_token")]
    secrets = tuple({value for value in values if isinstance(value, str) and value})
    return next((Credentials(place, secrets) for place, value in places.items() if value), None)


def require_credentials() -> Credentials:
    """Return the credentials; where there are none, a UserError says in four lines how to get them."""
    found = find_credentials()
    if found is None:
        raise UserError(HOW_TO_GET_CREDENTIALS)
    return found


def _text_of(path: Path) -> str:
    """Return a file's text without the space around it, empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _strings_in(path: Path) -> dict[str, str]:
    """Return the strings of a JSON object by their names, none where there is no such file."""
    try:
        content = json.loads(_text_of(path))
    except ValueError:
        return {}
    return (
        {name: value for name, value in content.items() if isinstance(value, str)} if isinstance(content, dict) else {}
    )
