"""The choice of matplotlib's backend that a notebook passes on to the commands that it runs."""

import os
from importlib.util import find_spec
from pathlib import Path

MODULE_PREFIX = "module://"


def drop_missing_backend() -> None:
    """Unset MPLBACKEND if it names a backend that is not installed; call this before matplotlib is imported.

    A notebook sets the variable to its own backend, and its commands inherit it. In an environment without that backend
    the import of matplotlib fails.
    """
    backend = os.environ.get("MPLBACKEND")
    if backend and not _is_installed(backend):
        del os.environ["MPLBACKEND"]


def _is_installed(backend: str) -> bool:
    """Return whether a backend can be found: a module, one of matplotlib's own, or one that a package registers."""
    from importlib.metadata import entry_points  # a slow import, which most commands do without

    if backend.startswith(MODULE_PREFIX):
        try:
            return find_spec(backend.removeprefix(MODULE_PREFIX)) is not None
        except (ImportError, ValueError):  # a parent package is missing, or the name is none
            return False
    matplotlib = find_spec("matplotlib")
    if matplotlib is None or matplotlib.origin is None:
        return False
    own = Path(matplotlib.origin).parent / "backends" / f"backend_{backend.lower()}.py"
    return own.exists() or bool(entry_points(group="matplotlib.backend", name=backend))
