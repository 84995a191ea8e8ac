"""Downloads: public files, fetched once into the data folder and verified by their SHA-256."""

import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.utils.files import open_atomic, sha256

TIMEOUT_SECONDS = 10.0
"""Socket time-out."""


@dataclass(frozen=True)
class Download:
    """A public file.

    Attributes:
        name: name in messages.
        url: its URL.
        sha256: SHA-256 of its content, 64 hexadecimal digits.
        files: the file names that are accepted in the data folder; a download is saved under the first.
    """

    name: str
    url: str
    sha256: str
    files: tuple[str, ...]

    def fetch(self, data: Path) -> Path:
        """Return the path of the file in the folder `data`; download it if it is missing.

        An existing file is not verified.

        Raises:
            UserError: the download fails, its SHA-256 is not the expected one, or `data` cannot be written to.
        """
        for file in self.files:
            if (data / file).exists():
                return data / file
        path = data / self.files[0]
        try:
            with (
                urllib.request.urlopen(self.url, timeout=TIMEOUT_SECONDS) as response,
                open_atomic(path) as temporary,
            ):
                with temporary.open("wb") as stream:
                    shutil.copyfileobj(response, stream)
                require_sha256(temporary, self.sha256, self.url)
        except OSError as error:
            raise UserError(
                f"{self.name} is not in {data} and cannot be downloaded ({getattr(error, 'reason', error)}): "
                f"save {self.url} as {path}"
            ) from None
        return path


def require_sha256(path: Path, expected: str, origin: str) -> None:
    """Raise a UserError if the SHA-256 of a file, downloaded from `origin`, is not the expected one."""
    found = sha256(path)
    if found != expected:
        raise UserError(
            f"{origin}: the download is damaged or has changed (SHA-256 {found[:12]}..., expected {expected[:12]}...); "
            "try again"
        )
