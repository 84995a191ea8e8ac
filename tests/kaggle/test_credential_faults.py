"""Credentials that exist and cannot be used are named with their place and fault, and never shown."""

import json
from pathlib import Path

import pytest
from helpers.kaggle_server import KEY, NAME, TOKEN
from helpers.permissions import permissions_of_a_user

from pipeline import UserError
from pipeline.kaggle.client import explain_failure, run_client
from pipeline.kaggle.credentials import require_credentials

STORED = json.dumps({"username": NAME, "key": KEY})

FAULTS: dict[str, tuple[str, bytes, str]] = {
    "UTF-16 token": ("access_token", TOKEN.encode("utf-16"), "is UTF-16, as PowerShell writes it: save it as UTF-8"),
    "token with a byte order mark": ("access_token", b"\xef\xbb\xbf" + TOKEN.encode(), "begins with a byte order mark"),
    "quotes": ("access_token", f'"{TOKEN}"\n'.encode(), "has quotes around the token: remove them"),
    "assignment": ("access_token", f"KAGGLE_API_TOKEN={TOKEN}".encode(), "contains an assignment"),
    "JSON as a token": ("access_token", STORED.encode(), "contains JSON, not a token: rename the file to kaggle.json"),
    "two lines": ("access_token", f"my token\n{TOKEN}".encode(), "must be the token alone, in one line"),
    "empty token": ("access_token", b"\n", "is empty"),
    "UTF-16 key": ("kaggle.json", STORED.encode("utf-16"), "is UTF-16"),
    "key with a byte order mark": ("kaggle.json", b"\xef\xbb\xbf" + STORED.encode(), "begins with a byte order mark"),
    "no JSON": ("kaggle.json", b"username: me", "is not JSON"),
    "no key": ("kaggle.json", b'{"username": "me"}', 'lacks "username" or "key"'),
    "saved as text": ("kaggle.json.txt", STORED.encode(), "is not read under this name: rename it to kaggle.json"),
    "downloaded twice": ("kaggle (1).json", STORED.encode(), "is not read under this name: rename it to kaggle.json"),
    "misnamed token": ("access_token.txt.txt", TOKEN.encode(), "rename it to access_token"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_unusable_credentials_are_named_with_their_fault(name: str, home: Path) -> None:
    file, content, fault = FAULTS[name]
    path = home / ".kaggle" / file
    path.write_bytes(content)
    with pytest.raises(UserError) as refusal:
        require_credentials()
    assert str(refusal.value).startswith(f"{path}: ")
    assert fault in str(refusal.value)
    assert TOKEN not in str(refusal.value)
    assert KEY not in str(refusal.value)


def test_a_folder_in_place_of_the_token_is_named(home: Path) -> None:
    (home / ".kaggle" / "access_token").mkdir()
    with pytest.raises(UserError, match=r"access_token: cannot be read \(Is a directory\)"):
        require_credentials()


def test_a_token_that_may_not_be_read_is_named(home: Path) -> None:
    path = home / ".kaggle" / "access_token"
    path.write_text(TOKEN)
    path.chmod(0)
    with (
        permissions_of_a_user(),
        pytest.raises(UserError, match=r"access_token: cannot be read \(Permission denied\): .* chmod 600"),
    ):
        require_credentials()


def test_a_config_dir_that_is_a_file_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "kaggle.json").write_text(STORED)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home / "kaggle.json"))
    with pytest.raises(UserError, match=r"KAGGLE_CONFIG_DIR: names the file .*: set it to the folder"):
        require_credentials()


def test_a_fault_of_other_credentials_than_those_in_use_is_not_reported(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".kaggle" / "kaggle.json").write_text("damaged")
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    assert require_credentials().location == "KAGGLE_API_TOKEN"


def test_a_token_in_quotes_in_the_environment_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", f"'{TOKEN}'")
    with pytest.raises(UserError, match="KAGGLE_API_TOKEN: has quotes around the token: remove them"):
        require_credentials()


@pytest.mark.parametrize("found", ["1.6.17", "1.7.4.5", "1.8.3", "2.2.3"])
def test_an_old_client_is_refused_with_the_remedy(found: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    monkeypatch.setattr("pipeline.kaggle.client.version", lambda _: found)
    with pytest.raises(UserError, match=f"client {found} is too old: pip install --upgrade kaggle"):
        run_client("competitions", "leaderboard", seconds=5)


def test_denied_access_names_its_causes_in_order() -> None:
    message = str(explain_failure("", "You must verify your phone number", "KAGGLE_KEY"))
    assert message.startswith("Kaggle denied access (You must verify your phone number). Check in this order: ")
    message = str(explain_failure("", "403 Client Error: Forbidden for url: http://x", "KAGGLE_KEY"))
    causes = [message.index(cause) for cause in ("the credentials in KAGGLE_KEY", "rules", "phone", "identity")]
    assert causes == sorted(causes)


def test_an_answer_that_is_no_json_is_told_as_such() -> None:
    failure = explain_failure("", "Expecting value: line 1 column 1 (char 0)", "KAGGLE_KEY")
    assert "Kaggle's answer is not JSON" in str(failure)
    assert "rules" not in str(failure)
    assert failure.retryable
