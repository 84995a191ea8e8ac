"""Uploads to the Hugging Face Hub: a run for Transformers as a model repository, and folders as any repository."""

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.errors import UserError, quote
from pipeline.export.transformers import write_transformers
from pipeline.run import Run

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
TOKEN_ADVICE = "run `hf auth login`, or set HF_TOKEN, with a write token from https://huggingface.co/settings/tokens"
ADVICE_BY_STATUS = {
    401: f"the Hub does not accept the token; {TOKEN_ADVICE}",
    403: "the token may not write there; use a write token of the repository's owner",
}


def publish(run: Run, repository: str) -> str:
    """Upload a run to a model repository on the Hub, which is created if it does not exist; return its address.

    Raises:
        UserError: the errors of `upload_to_hub`, or the run is damaged or has no model yet.
    """
    _require_access(repository)
    run.require_model()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        write_transformers(run, folder, repository)
        return upload_to_hub(folder, repository)


def upload_to_hub(folder: Path, repository: str, *, space: bool = False, renewed: Sequence[str] = ()) -> str:
    """Upload a folder to a repository on the Hub, which is created if it does not exist; return its address.

    The Hub's client chooses how each file is sent, and keeps the repository's history and its other files.

    Args:
        folder: the folder.
        repository: the repository, as USER/NAME.
        space: upload to a Gradio Space instead of a model repository.
        renewed: patterns such as "demo/*": matching files of the repository that are not in the folder are removed.

    Raises:
        UserError: the name is no USER/NAME, there is no token, the Hub does not accept it, or the upload fails.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    _require_access(repository)
    api, kind = HfApi(), "space" if space else "model"
    try:
        address = api.create_repo(repository, repo_type=kind, space_sdk="gradio" if space else None, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            repo_type=kind,
            folder_path=folder,
            commit_message="Digit Recognizer",
            delete_patterns=list(renewed),
        )
    except Exception as error:  # of many types: files are sent over several protocols
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0] + "; try again"
        if isinstance(error, HfHubHTTPError):
            reason = ADVICE_BY_STATUS.get(error.response.status_code, reason)
        raise UserError(f"{repository}: not uploaded; {reason}") from None
    return str(address)


def _require_access(repository: str) -> None:
    """Raise a UserError if a name is no USER/NAME, or if there is no token."""
    from huggingface_hub import get_token

    if not REPOSITORY.fullmatch(repository):
        raise UserError(f"{quote(repository)}: is no repository on the Hub; give it as USER/NAME")
    if get_token() is None:
        raise UserError(f"{repository}: there is no token for the Hugging Face Hub; {TOKEN_ADVICE}")
