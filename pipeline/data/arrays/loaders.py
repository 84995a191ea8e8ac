"""Arrays in NumPy, MATLAB, HDF5 and LIBSVM files."""

import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from numpy.lib.format import read_array
from numpy.typing import NDArray

from pipeline.data.arrays.contents import Arrays, Part, find_labels, pick_arrays
from pipeline.data.arrays.hdf5 import read_h5
from pipeline.data.arrays.matlab import read_mat
from pipeline.data.pixel_format import SIZES
from pipeline.digits import SIDE
from pipeline.errors import UserError
from pipeline.utils.compressed import open_decompressed
from pipeline.utils.files import open_member
from pipeline.utils.processes.workers import deal


def load_npz(path: Path, part: Part) -> Arrays:
    """Return the arrays of an .npz file, such as Keras' mnist.npz. Pickled arrays are refused."""
    named: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with open_member(archive, name) as file:
                named[name.removesuffix(".npy")] = read_array(file, allow_pickle=False)
    return pick_arrays(named, part, str(path))


def load_npy(path: Path, part: Part) -> Arrays:
    """Return the images of an .npy file, with the labels of the file that is named alike, such as y_train.npy."""
    arrays = []
    for each in (path, find_labels(path)):
        if each is not None:
            with open_decompressed(each) as file:
                arrays.append(read_array(file, allow_pickle=False))
    return Arrays(arrays[0], arrays[1] if len(arrays) > 1 else None)


def load_mat(path: Path, part: Part) -> Arrays:
    """Return the arrays of a MATLAB file, such as EMNIST's."""
    return pick_arrays(_read_in_process(read_mat, path), part, str(path))


def load_h5(path: Path, part: Part) -> Arrays:
    """Return the arrays of an HDF5 file, such as usps.h5 with the groups train and test; needs h5py."""
    try:
        import_module("h5py")
    except ModuleNotFoundError:
        raise UserError(f"{path}: to read HDF5, run: pip install h5py") from None
    return pick_arrays(_read_in_process(read_h5, path), part, str(path))


def _read_in_process(read: Callable[[Path], dict[str, NDArray[Any]]], path: Path) -> dict[str, NDArray[Any]]:
    """Return what a library reads from a file in a process of its own: on a damaged file, the library can crash."""
    (outcome,) = deal(read, [path], 1)
    if outcome.result is None:
        raise ValueError(f"reading it ended with {outcome.death}")
    return outcome.result


def load_libsvm(path: Path, part: Part) -> Arrays:
    """Return the rows of a text file in LIBSVM's format, `label index:value ...`, plain or compressed."""
    from sklearn.datasets import load_svmlight_file

    with open_decompressed(path) as file:
        values, labels = load_svmlight_file(file)
    size = next((size for size in sorted(SIZES) if size >= values.shape[1] > 0.9 * size or size == SIDE * SIDE), 0)
    if values.shape[1] > size:
        raise UserError(f"{path}: {values.shape[1]} values per row, expected up to {size}; choose a file of images")
    values.resize(values.shape[0], size)
    return Arrays(values.toarray(), labels)
