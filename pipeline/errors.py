"""What goes wrong for a reason that the user can put right."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """One line that says what is wrong, where, and what to do about it.

    The command line prints it on stderr and exits with status 2; a caller of the library may catch it. It is a
    ValueError, for that is what scientific Python expects of a function that is given what it cannot take.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return '; did you mean "x"?' for the known word nearest to `word`, or an empty string where none is near."""
    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f'; did you mean "{nearest[0]}"?' if nearest else ""
