"""Upload of an assembled Space, `python -m demo.publish FOLDER USER/NAME`, which `make space SPACE=USER/NAME` runs."""

import sys
from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError

from pipeline import UserError

RENEWED_FOLDERS = ["pipeline/*", "demo/*", "checkpoints/*"]
"""Folders of the Space from which an upload removes what is no longer in them."""
TOKEN_ADVICE = "run `hf auth login`, or set HF_TOKEN, with a write token from https://huggingface.co/settings/tokens"
ADVICE_BY_STATUS = {
    401: f"the Hub does not accept the token; {TOKEN_ADVICE}",
    403: "the token may not write there; use a write token of the Space's owner",
}


def upload(folder: Path, space: str) -> str:
    """Upload an assembled folder to a Space, which is created if it does not exist; return the Space's address.

    The client of the Hub chooses how each file is sent, and keeps the Space's history and its other files.

    Args:
        folder: the assembled folder.
        space: the Space, as USER/NAME.

    Raises:
        UserError: there is no token, the Hub does not accept it, or the upload fails.
    """
    if get_token() is None:
        raise UserError(f"{space}: there is no token for the Hugging Face Hub; {TOKEN_ADVICE}")
    api = HfApi()
    try:
        address = api.create_repo(space, repo_type="space", space_sdk="gradio", exist_ok=True)
        api.upload_folder(
            repo_id=space,
            repo_type="space",
            folder_path=folder,
            commit_message="Digit Recognizer",
            delete_patterns=RENEWED_FOLDERS,
        )
    except Exception as error:  # of many types: files are sent over several protocols
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0] + "; try again"
        if isinstance(error, HfHubHTTPError):
            reason = ADVICE_BY_STATUS.get(error.response.status_code, reason)
        raise UserError(f"{space}: not uploaded; {reason}") from None
    return str(address)


def main() -> None:
    """Upload the folder; print the Space's address, or a UserError as one line on stderr and exit with status 2."""
    folder, space = sys.argv[1:]
    try:
        print(upload(Path(folder), space))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
