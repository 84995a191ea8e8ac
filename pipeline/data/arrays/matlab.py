"""MATLAB files."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.arrays.contents import damaged_array


def read_mat(path: Path) -> dict[str, NDArray[Any]]:
    """Return the numeric arrays of a MATLAB file by name; those of structures are named "structure.field".

    Raises:
        UserError: the file is damaged. In a worker process, any other error would also print a traceback.
    """
    from scipy.io import loadmat

    named: dict[str, NDArray[Any]] = {}

    def collect(name: str, value: Any) -> None:
        if not isinstance(value, np.ndarray):
            return
        if value.dtype.names:
            for field in value.dtype.names:
                collect(f"{name}.{field}", value[field])
        elif value.dtype == object:
            for index, item in enumerate(value.ravel()):
                collect(name if value.size == 1 else f"{name}.{index}", item)
        elif value.dtype.kind in "buif":
            named[name] = value

    try:
        content = loadmat(path)
    except Exception as error:  # readers raise almost any exception on damaged data
        raise damaged_array(path, error) from None
    for name, value in content.items():
        collect(name, value)
    return named
