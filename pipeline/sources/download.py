"""Downloads: public files, fetched once into the data folder and verified by their SHA-256."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.errors import UserError
from pipeline.utils.files import open_atomic, sha256

TIMEOUT_SECONDS = 10.0
"""Socket time-out."""
CHUNK_BYTES = 1 << 20


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
        with (
            self._report_failure(path),
            urllib.request.urlopen(self.url, timeout=TIMEOUT_SECONDS) as response,
            open_atomic(path) as temporary,
        ):
            with temporary.open("wb") as stream:
                while chunk := self._read(response, path):
                    stream.write(chunk)
            require_sha256(temporary, self.sha256, self.url)
        return path

    def _read(self, response: IO[bytes], path: Path) -> bytes:
        """Return the next bytes of a response; b"" at its end. An error here is not one of writing the file."""
        with self._report_failure(path):
            return response.read(CHUNK_BYTES)

    @contextmanager
    def _report_failure(self, path: Path) -> Iterator[None]:
        """Raise a UserError with the remedy for an error of the network."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self.name} is not in {path.parent} and cannot be downloaded ({getattr(error, 'reason', error)}): "
                f"save {self.url} as {path}"
            ) from None


def require_sha256(path: Path, expected: str, origin: str) -> None:
    """Raise a UserError if the SHA-256 of a file, downloaded from `origin`, is not the expected one."""
    found = sha256(path)
    if found != expected:
        raise UserError(
            f"{origin}: the download is damaged or has changed (SHA-256 {found[:12]}..., expected {expected[:12]}...); "
            "try again"
        )
