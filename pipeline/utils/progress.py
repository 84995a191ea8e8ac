"""When to show progress bars."""

import sys


def hide_bar(quiet: bool) -> bool:
    """Return whether to hide a progress bar: if `quiet`, or if stderr is neither a terminal nor a notebook's cell.

    In a file or a pipe, the bar would leave thousands of lines.
    """
    notebook = type(sys.stderr).__module__.partition(".")[0] == "ipykernel"
    return quiet or not (notebook or sys.stderr.isatty())
