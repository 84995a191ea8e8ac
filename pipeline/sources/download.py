"""Downloads: public files, fetched once into the folder for data and checked by their SHA-256."""

import hashlib
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.utils.files import open_atomic

TIMEOUT_SECONDS = 10.0
"""How long a server may send nothing."""


@dataclass(frozen=True)
class Download:
    """A public file.

    Attributes:
        name: for people.
        url: its address.
        sha256: of its content, 64 hexadecimal digits.
        files: the names that it may have in the folder for data; it is downloaded to the first.
    """

    name: str
    url: str
    sha256: str
    files: tuple[str, ...]

    def fetch(self, data: Path) -> Path:
        """Return the path of the file in `data`; download it if it is missing. A file that is there is not checked.

        Raises:
            UserError: it cannot be downloaded, its content is not the expected one, or `data` cannot be written to.
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
                f"save {self.url} there as {path.name}"
            ) from None
        return path


def require_sha256(path: Path, expected: str, origin: str) -> None:
    """Raise a UserError if a file that was downloaded from `origin` has another SHA-256 than expected."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise UserError(
            f"{origin}: the download is damaged or was changed (SHA-256 {found[:12]}..., expected {expected[:12]}...); "
            "try again"
        )
