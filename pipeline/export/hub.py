"""Export to the Hugging Face Hub: the folder for Transformers, with its model card, as a model repository."""

import re
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

    The repository's history and its other files are kept.

    Args:
        run: the run.
        repository: the repository, as USER/NAME.

    Raises:
        UserError: the name is no USER/NAME, there is no token, the Hub does not accept it, the upload fails, or the run
            is damaged or has no model yet.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError

    if not REPOSITORY.fullmatch(repository):
        raise UserError(f"{quote(repository)}: is no repository on the Hub; give it as USER/NAME")
    if get_token() is None:
        raise UserError(f"{repository}: there is no token for the Hugging Face Hub; {TOKEN_ADVICE}")
    run.require_model()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        write_transformers(run, folder, repository)
        api = HfApi()
        try:
            address = api.create_repo(repository, exist_ok=True)
            api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Digit Recognizer")
        except Exception as error:  # of many types: files are sent over several protocols
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0] + "; try again"
            if isinstance(error, HfHubHTTPError):
                reason = ADVICE_BY_STATUS.get(error.response.status_code, reason)
            raise UserError(f"{repository}: not uploaded; {reason}") from None
    return str(address)
