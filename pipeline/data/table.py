"""DigitTable: images of digits, optionally with labels, validated when the table is created."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.digits import CLASSES, SIDE, Labels, Pixels
from pipeline.errors import UserError

BLOCK_SIDE_PX = 4
"""Side of the blocks whose mean values identify near-duplicate images."""
BLOCKS = (SIDE // BLOCK_SIDE_PX) ** 2
"""Blocks per image."""
MAX_SHIFT_LEVELS = 4
"""Grey levels by which the means of a block may differ in near-duplicates. No image of the competition's train.csv is
that close to one of its test.csv. A copy whose pixels all differ by at most this value is always found."""


@dataclass(frozen=True, eq=False)
class DigitTable:
    """N images and, if they are known, their labels. Immutable.

    Attributes:
        pixels: uint8 (N, 28, 28); 0 is paper, 255 is ink.
        labels: int64 (N,) in 0..9, or None.
        numbers: int64 (N,), row number of each image, from 1, in the table that it was selected from; None in a table
            that is not a selection.
    """

    pixels: Pixels
    labels: Labels | None = None
    numbers: Labels | None = None

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[1:] != (SIDE, SIDE):
            raise UserError(
                f"images must be uint8 (N, {SIDE}, {SIDE}), not {self.pixels.dtype} {self.pixels.shape}: "
                "frame and cast them first"
            )
        object.__setattr__(self, "pixels", _read_only(self.pixels))
        if self.labels is None:
            return
        if self.labels.dtype != np.int64 or self.labels.shape != (len(self.pixels),):
            raise UserError(
                f"labels must be int64 ({len(self.pixels)},), one for each image, "
                f"not {self.labels.dtype} {self.labels.shape}"
            )
        outside = np.flatnonzero((self.labels < 0) | (self.labels >= CLASSES))
        if len(outside):
            raise UserError(
                f"label {self.labels[outside[0]]} of image {outside[0] + 1} is not a digit from 0 to 9; correct it"
            )
        object.__setattr__(self, "labels", _read_only(self.labels))

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def known_labels(self) -> Labels:
        """The labels; raises a UserError if the table has none."""
        if self.labels is None:
            raise UserError("these digits have no labels: give a table with a label column")
        return self.labels

    @property
    def row_numbers(self) -> Labels:
        """The row number of each image, from 1, in the table as it was read, int64 (N,)."""
        return np.arange(1, len(self) + 1) if self.numbers is None else self.numbers

    def select(self, rows: NDArray[np.int64]) -> "DigitTable":
        """Return a table of these rows (int64 indices), in the given order."""
        return DigitTable(
            self.pixels[rows], None if self.labels is None else self.labels[rows], _read_only(self.row_numbers[rows])
        )

    def sample(self, rows: int, seed: int) -> "DigitTable":
        """Return a stratified sample of `rows` rows, drawn by `split`, or the table itself if it has no more rows."""
        return self if rows >= len(self) else self.split(rows / len(self), seed)[1]

    def split(self, fraction: float, seed: int) -> tuple["DigitTable", "DigitTable"]:
        """Return (remaining rows, held-out rows): a stratified random split.

        Each digit has the same share of both parts, to within one row. The same seed gives the same split.

        Args:
            fraction: in [0, 1); round(fraction * N) rows are held out, none with 0.
            seed: seed of the generator that orders the rows of a digit.

        Raises:
            UserError: the table has no labels, or one of the two parts would be empty (with 0 the second may be).
        """
        labels = self.known_labels
        if fraction == 0:
            return self, self.select(np.arange(0))
        held_out = round(fraction * len(self))
        if not 0 < held_out < len(self):
            raise UserError(f"{len(self)} rows cannot be split with {fraction:g} of them held out: add more rows")
        # With rows sorted by label, at random within a label, evenly spaced positions are a stratified random sample.
        order = np.lexsort((np.random.default_rng(seed).random(len(self)), labels))
        positions = ((np.arange(held_out) + 0.5) * len(self) / held_out).astype(np.int64)
        chosen = np.zeros(len(self), dtype=bool)
        chosen[order[positions]] = True
        return self.select(np.flatnonzero(~chosen)), self.select(np.flatnonzero(chosen))

    def folds(self, count: int, seed: int) -> Labels:
        """Return the fold of each row, int64 (N,) in 0..count-1: stratified, and of equal size to within one row.

        Args:
            count: number of folds, 2 to N.
            seed: seed of the generator that orders the rows of a digit.

        Raises:
            UserError: the table has no labels, or fewer rows than folds.
        """
        if len(self) < count:
            raise UserError(f"{len(self)} rows cannot be split into {count} folds: add more rows")
        order = np.lexsort((np.random.default_rng(seed).random(len(self)), self.known_labels))
        folds = np.empty(len(self), dtype=np.int64)
        folds[order] = np.arange(len(self)) % count
        return folds

    @cached_property
    def fingerprint(self) -> "Fingerprint":
        """The fingerprint of the images, independent of the labels and of the order of the rows."""
        hashes = b"".join(hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in self.pixels)
        distinct, first = np.unique(np.frombuffer(hashes, dtype="<u8").astype(np.uint64), return_index=True)
        return Fingerprint(distinct, _block_means(self.pixels[first]))


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A summary of a table's images, 57 bytes each, that compares tables without their pixels.

    Attributes:
        hashes: uint64 (M,), sorted and unique: the 64-bit BLAKE2b of each distinct image.
        blocks: uint8 (M, 49), the block means of each image; (0, 49) for a run that stored none.
    """

    hashes: NDArray[np.uint64]
    blocks: NDArray[np.uint8]

    def __post_init__(self) -> None:
        """Raise a ValueError if an array has another dtype or shape."""
        arrays = (self.hashes.dtype.name, self.hashes.ndim, self.blocks.dtype.name)
        rows = {(len(self.hashes), BLOCKS), (0, BLOCKS)} if self.hashes.ndim else ()
        if arrays != ("uint64", 1, "uint8") or self.blocks.shape not in rows:
            raise ValueError(f"a fingerprint has {self.hashes.dtype} (M,) and uint8 (M, {BLOCKS})")

    @property
    def digest(self) -> str:
        """A hash of 16 hexadecimal digits, equal for equal sets of images."""
        return hashlib.blake2b(self.hashes.astype("<u8").tobytes(), digest_size=8).hexdigest()

    def count_duplicates(self, other: "Fingerprint") -> int:
        """Return the number of distinct images that both tables contain."""
        return len(np.intersect1d(self.hashes, other.hashes, assume_unique=True))

    def count_near_duplicates(self, other: "Fingerprint") -> int:
        """Return the number of distinct images of `other` that are in this table as a changed copy, but not exactly.

        Every copy whose pixels all differ by at most MAX_SHIFT_LEVELS grey levels is found. Many coarser ones are found
        too, such as images that were re-encoded with a lossy codec.
        """
        from scipy.spatial import cKDTree

        unknown = other.blocks[~np.isin(other.hashes, self.hashes)]
        distances, _ = cKDTree(self.blocks).query(unknown, p=np.inf, distance_upper_bound=MAX_SHIFT_LEVELS + 0.5)
        return int(np.isfinite(distances).sum())


def _block_means(pixels: Pixels) -> NDArray[np.uint8]:
    """Return the rounded mean of each 4x4 block, uint8 (N, 49), of images, uint8 (N, 28, 28)."""
    area, count = BLOCK_SIDE_PX * BLOCK_SIDE_PX, SIDE // BLOCK_SIDE_PX
    rows = pixels.reshape(-1, count, BLOCK_SIDE_PX, SIDE).sum(axis=2, dtype=np.uint16)  # one axis at a time is faster
    sums = rows.reshape(-1, count, count, BLOCK_SIDE_PX).sum(axis=3, dtype=np.uint16)
    means: NDArray[np.uint8] = ((sums + area // 2) // area).astype(np.uint8).reshape(len(pixels), BLOCKS)
    return means


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view of `array`."""
    view = array.view()
    view.flags.writeable = False
    return view


def concatenate(tables: Sequence[DigitTable]) -> DigitTable:
    """Return one table with all rows of one or more tables; it has labels if all of them have."""
    labels = [table.labels for table in tables if table.labels is not None]
    return DigitTable(
        np.concatenate([table.pixels for table in tables]),
        np.concatenate(labels) if len(labels) == len(tables) else None,
    )
