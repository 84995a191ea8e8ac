"""Files that others offer to all, fetched once into the folder for data."""

import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.utils.files import open_atomic

SECONDS = 10.0
"""How long a server may be silent before it counts as out of reach."""


@dataclass(frozen=True)
class Download:
    """A file that is there to be downloaded.

    Attributes:
        name: for people.
        url: where it is.
        files: the names that it may have in the folder for data; the first is the one it is downloaded to.
    """

    name: str
    url: str
    files: tuple[str, ...]

    def find(self, data: Path) -> Path:
        """Return where it lies in `data`, downloaded where it is not there.

        Raises:
            UserError: it is not there and cannot be fetched, or `data` cannot be written to.
        """
        for file in self.files:
            if (data / file).exists():
                return data / file
        place = data / self.files[0]
        try:
            with (
                urllib.request.urlopen(self.url, timeout=SECONDS) as response,
                open_atomic(place) as temporary,
                temporary.open("wb") as stream,
            ):
                shutil.copyfileobj(response, stream)
        except OSError as error:
            raise UserError(
                f"{self.name} is not in {data} and cannot be fetched ({getattr(error, 'reason', error)}): "
                f"bring {self.url} there as {place.name}"
            ) from None
        return place
