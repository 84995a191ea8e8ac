"""DigitDataset: a DigitTable as batches of tensors, uint8 until they are on the device."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, Dataset, RandomSampler

from pipeline.config.recipe import Recipe
from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES, Pixels

CPU = torch.device("cpu")

Batch = tuple[Tensor, ...]
"""(pixels uint8 (B, 28, 28),), and labels int64 (B,) where the table has them."""


class DigitDataset(Dataset[Batch]):
    """The rows of a table, one at a time or, several times faster, a batch at a time.

    Args:
        table: its pixels and labels are copied.
        device: where they are kept, and where batches are made.
        outliers: images that are no digits, uint8 (M, 28, 28), which follow the table's rows with label 10.
    """

    def __init__(self, table: DigitTable, device: torch.device = CPU, outliers: Pixels | None = None) -> None:
        arrays = [table.pixels] if table.labels is None else [table.pixels, table.labels]
        if outliers is not None:
            labels = np.full(len(outliers), CLASSES, dtype=np.int64)
            arrays = [np.concatenate([table.pixels, outliers]), np.concatenate([table.known_labels, labels])]
        self.tensors = [torch.from_numpy(np.array(array)).to(device) for array in arrays]

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, row: int) -> Batch:
        """Return one row: (pixels uint8 (28, 28), and its label where there is one)."""
        return tuple(tensor[row] for tensor in self.tensors)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """Return these rows as one batch; the DataLoader calls this in place of __getitem__."""
        places = torch.as_tensor(rows, device=self.tensors[0].device)
        return tuple(tensor[places] for tensor in self.tensors)


def training_loader(
    table: DigitTable, recipe: Recipe, device: torch.device = CPU, outliers: Pixels | None = None
) -> DataLoader[Batch]:
    """Return the batches of one epoch, shuffled anew for each, all of them full.

    A GPU holds the whole table, at 784 bytes an image, unless the recipe asks for workers or pinned memory, which feed
    it from outside. On a table so small that `epochs` passes over it would make fewer than `minimum_updates` updates,
    an epoch holds several passes.
    """
    held = device.type == "cuda" and not recipe.workers and not recipe.pin_memory
    dataset = DigitDataset(table, device if held else CPU, outliers)
    batch_size = min(recipe.batch_size, len(dataset))
    images_needed = recipe.minimum_updates * recipe.gradient_accumulation * batch_size
    passes = max(1, -(-images_needed // (recipe.epochs * len(dataset))))
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=RandomSampler(dataset, num_samples=passes * len(dataset)),
        drop_last=True,
        collate_fn=_as_it_is,
        num_workers=recipe.workers,
        pin_memory=recipe.pin_memory and device.type == "cuda",
        persistent_workers=recipe.workers > 0,
    )


def ordered_loader(table: DigitTable, batch_size: int) -> DataLoader[Batch]:
    """Return the batches of a table in its own order, each row once: what evaluation and prediction need."""
    return DataLoader(DigitDataset(table), batch_size=batch_size, shuffle=False, collate_fn=_as_it_is)


def _as_it_is(batch: Any) -> Any:
    """Collate nothing: `__getitems__` has made the batch already."""
    return batch


def ink(pixels: Tensor) -> Tensor:
    """Return uint8 (B, 28, 28) as float32 (B, 1, 28, 28), 0 = paper, 1 = full ink."""
    return pixels.unsqueeze(1).float().div_(255)


def normalise(images: Tensor, recipe: Recipe) -> Tensor:
    """Return what the network sees of `ink`: scaled to (B, 1, image_size, image_size), then (image - mean) / std."""
    if recipe.image_size != images.shape[-1]:
        images = interpolate(images, [recipe.image_size] * 2, mode="bilinear", antialias=True)
    return (images - recipe.mean).div_(recipe.std)
