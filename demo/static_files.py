"""The page's own scripts, styles and pictures, at an address that changes with their content."""

import mimetypes
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette import staticfiles
from starlette.responses import Response

STATIC = Path(__file__).parent / "static"
_YEAR_SECONDS = 365 * 24 * 3600


def _version() -> str:
    """Return a hash of all files."""
    content = sha256()
    for path in sorted(STATIC.iterdir()):
        content.update(path.name.encode() + b"\0" + path.read_bytes())
    return content.hexdigest()[:16]


URL_PATH = f"page/{_version()}"
"""Path of the files, relative to the page."""


def import_module(name: str) -> str:
    """Return the JavaScript that loads one of the page's modules."""
    return f'import(new URL("{URL_PATH}/{name}", document.baseURI))'


class StaticFiles(staticfiles.StaticFiles):
    """Serves the files. Browsers may keep them, because other content has another address."""

    def __init__(self) -> None:
        mimetypes.add_type("text/javascript", ".js")  # on some Windows machines text/plain, which browsers refuse
        super().__init__(directory=STATIC)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a file, with the time for which a browser may keep it."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = f"public, max-age={_YEAR_SECONDS}, immutable"
        return response
