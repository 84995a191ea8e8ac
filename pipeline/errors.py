"""Errors that the user can correct."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """An error that the user can correct. Its message is one line: the fault, the place, and the remedy.

    The command line prints it on stderr and exits with status 2. A caller of the library may catch it. It is a
    ValueError because scientific Python raises ValueError for invalid arguments.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return '; did you mean "x"?' with the known word closest to `word`, or "" if none is close."""
    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f'; did you mean "{nearest[0]}"?' if nearest else ""
