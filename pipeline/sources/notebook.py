"""Hosted notebooks, Kaggle's and Colab's: where they keep the competition's files, and what to do without them."""

import os
from pathlib import Path

from pipeline.errors import UserError
from pipeline.sources.competition import holds_competition

KAGGLE_INPUT = Path("/kaggle/input")
"""Folder of a Kaggle notebook with the data sets that were added to it, read-only."""
COMPETITION = "digit-recognizer"
COLAB_VARIABLE = "COLAB_RELEASE_TAG"
"""Environment variable that Colab sets."""


def find_attached() -> Path | None:
    """Return the folder of the competition's files in a Kaggle notebook's input, or None."""
    folders = [KAGGLE_INPUT / COMPETITION, *sorted(KAGGLE_INPUT.glob(f"*/{COMPETITION}"))]
    return next((folder for folder in folders if holds_competition(folder)), None)


def require_own_choice(missing: str) -> None:
    """Raise a UserError in a hosted notebook: other digits than the competition's must be asked for.

    Args:
        missing: says that the competition's files are missing, for the message.
    """
    if KAGGLE_INPUT.is_dir():
        remedy = "add the competition's data to the notebook (Add Input, Competitions, Digit Recognizer)"
    elif os.environ.get(COLAB_VARIABLE):
        remedy = f"upload {COMPETITION}.zip to it, or set KAGGLE_API_TOKEN to your token"
    else:
        return
    raise UserError(f"{missing}: {remedy}; to practise on other digits, add --source practice")
