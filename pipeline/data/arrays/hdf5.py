"""HDF5 files."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pipeline.data.arrays.contents import damaged_array

MAX_COMPRESSION, MIN_STORED_BYTES = 1100, 1000
"""Bytes of an array per stored byte, at most: a damaged shape may ask for all memory.

Deflate reaches 1032, and an array that was never written is not stored.
"""


def read_h5(path: Path) -> dict[str, NDArray[Any]]:
    """Return the numeric arrays of an HDF5 file by name; those of groups are named "group/array".

    Raises:
        UserError: the file is damaged. In a worker process, any other error would also print a traceback.
    """
    import h5py

    named: dict[str, NDArray[Any]] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "buif":
            stored = item.id.get_storage_size()
            if item.nbytes > MAX_COMPRESSION * max(stored, MIN_STORED_BYTES):
                raise ValueError(f"{name} of shape {item.shape} is stored in {stored} bytes")
            named[name] = item[()]

    try:
        with h5py.File(path) as file:
            file.visititems(collect)
    except Exception as error:  # readers raise almost any exception on damaged data
        raise damaged_array(path, error) from None
    return named
