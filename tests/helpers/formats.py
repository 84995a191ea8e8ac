"""Digits in the formats of others: arrays, IDX files, and folders of pictures."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow
from PIL import Image
from pyarrow import parquet
from scipy.io import savemat
from sklearn.datasets import dump_svmlight_file

from helpers.files import csv_text, encode_idx
from pipeline import DigitTable


def flat(table: DigitTable) -> np.ndarray:
    return table.pixels.reshape(len(table), -1)


def write_keras(path: Path, table: DigitTable) -> None:
    with path.open("wb") as file:
        np.savez(
            file,
            x_train=table.pixels,
            y_train=table.known_labels.astype(np.uint8),
            x_test=table.pixels[:9],
            y_test=table.known_labels[:9],
        )


def write_positional(path: Path, table: DigitTable) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, flat(table) / 255, np.eye(10)[table.known_labels])


def write_npy(path: Path, table: DigitTable) -> None:
    with path.open("wb") as file:
        np.save(file, np.column_stack([table.known_labels, flat(table)]))


def write_emnist(path: Path, table: DigitTable) -> None:
    def part(rows: slice) -> dict[str, np.ndarray]:
        turned = table.pixels[rows].transpose(0, 2, 1).reshape(-1, 784)
        labels = table.known_labels[rows, None].astype(np.uint8)
        return {"images": turned, "labels": labels, "writers": 100 + labels}

    content = {
        "train": part(slice(None)),
        "test": part(slice(9)),
        "mapping": np.array([[d, 48 + d] for d in range(10)]),
    }
    savemat(path, {"dataset": content}, appendmat=False)


def write_mnist_original(path: Path, table: DigitTable) -> None:
    savemat(path, {"data": flat(table).T, "label": table.known_labels[None].astype(float)}, appendmat=False)


def write_usps(path: Path, table: DigitTable) -> None:
    with h5py.File(path, "w") as file:
        for part, rows in (("train", table), ("test", table.select(np.arange(9)))):
            file.create_dataset(f"{part}/data", data=flat(rows).astype(np.float32) / 255, compression="gzip")
            file[f"{part}/target"] = rows.known_labels


def write_matlab_7(path: Path, table: DigitTable) -> None:
    """Write MATLAB's newest format: HDF5 after 512 bytes of text, with the axes of each array reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["images"], file["labels"] = flat(table).T, table.known_labels[None].astype(float)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))


def write_parquet(path: Path, table: DigitTable) -> None:
    columns = {"label": table.known_labels, **{f"pixel{index}": column for index, column in enumerate(flat(table).T)}}
    parquet.write_table(pyarrow.table(columns), path)


def write_vectors(path: Path, table: DigitTable) -> None:
    parquet.write_table(pyarrow.table({"pixels": list(flat(table)), "label": table.known_labels}), path)


def write_libsvm(path: Path, table: DigitTable) -> None:
    dump_svmlight_file(flat(table) / 255, table.known_labels, str(path), zero_based=False)


def write_idx(folder: Path, table: DigitTable, dot: str = "-", *, zipped: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in (("train", table), ("t10k", table.select(np.arange(9)))):
        for kind, array in (("images", rows.pixels), ("labels", rows.known_labels.astype(np.uint8))):
            name = f"{part}-{kind}{dot}idx{array.ndim}-ubyte"
            content = encode_idx(array)
            (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(content) if zipped else content)


def write_pictures(folder: Path, table: DigitTable, suffix: str = "png", *, inverted: bool = False) -> None:
    for number, (image, label) in enumerate(zip(table.pixels, table.known_labels, strict=True)):
        path = folder / str(label) / f"img_{number:03}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - image if inverted else image).save(path)


def zip_folder(folder: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))


def write_images(path: Path, table: DigitTable) -> None:
    path.write_bytes(encode_idx(table.pixels))


def write_picture_zip(path: Path, table: DigitTable) -> None:
    write_pictures(path.parent / "pictures", table)
    zip_folder(path.parent / "pictures", path)


def write_arff(path: Path, table: DigitTable) -> None:
    lines = ["% The MNIST database", "%", "@RELATION mnist_784", ""]
    lines += [f"@ATTRIBUTE pixel{number} REAL" for number in range(1, 785)]
    lines += ["@ATTRIBUTE class {0,1,2,3,4,5,6,7,8,9}", "", "@DATA"]
    lines += [",".join(map(str, row)) for row in np.column_stack([flat(table), table.known_labels]).tolist()]
    path.write_text("\n".join(lines) + "\n")


def write_csv_zip(path: Path, table: DigitTable) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.csv", csv_text(table))


WRITERS: dict[str, Callable[[Path, DigitTable], object]] = {
    "csv": lambda path, table: path.write_text(csv_text(table)),
    "utf-16": lambda path, table: path.write_text(csv_text(table), encoding="utf-16"),
    "no header": lambda path, table: path.write_text(csv_text(table).partition("\n")[2].replace(",", " ")),
    "csv.gz": lambda path, table: path.write_bytes(gzip.compress(csv_text(table).encode())),
    "csv.bz2": lambda path, table: path.write_bytes(bz2.compress(csv_text(table).encode())),
    "csv.xz": lambda path, table: path.write_bytes(lzma.compress(csv_text(table).encode())),
    "csv in a zip": write_csv_zip,
    "arff": write_arff,
    "parquet": write_parquet,
    "parquet of vectors": write_vectors,
    "npz": write_keras,
    "npy": write_npy,
    "mat": write_emnist,
    "h5": write_usps,
    "mat of version 7.3": write_matlab_7,
    "idx": write_images,
    "libsvm": write_libsvm,
    "pictures in a zip": write_picture_zip,
}
"""Functions that write digits in each format, whatever the name of the file."""
