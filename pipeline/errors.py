"""Errors that the user can correct."""

import difflib
from collections.abc import Iterable
from pathlib import Path

MAX_QUOTED_CHARACTERS = 100


class UserError(ValueError):
    """An error that the user can correct. Its message is one line: the fault, the place, and the remedy.

    The command line prints it on stderr and exits with status 2. A caller of the library may catch it. It is a
    ValueError because scientific Python raises ValueError for invalid arguments.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return '; did you mean "x"?' with the known word closest to `word` in any case, or "" if none is close."""
    words = {each.lower(): each for each in known}
    nearest = difflib.get_close_matches(word.lower(), words, n=1)
    return f'; did you mean "{words[nearest[0]]}"?' if nearest else ""


def quote(text: object) -> str:
    """Return a text from a file for an error message: in one line, and shortened to `MAX_QUOTED_CHARACTERS`."""
    line = " ".join(str(text).split())
    return line if len(line) <= MAX_QUOTED_CHARACTERS else f"{line[:MAX_QUOTED_CHARACTERS]}..."


def damaged_file(path: Path, error: Exception) -> UserError:
    """Return the UserError for a file of a trained model that cannot be read because of `error`."""
    reason = quote(str(error).partition("\n")[0] or type(error).__name__)
    return UserError(f"{path}: missing or damaged ({reason}); copy it again, or train the run again")
