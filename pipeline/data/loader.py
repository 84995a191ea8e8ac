"""DigitDataset and its data loaders: batches of tensors, uint8 until they are on the device."""

import os
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
"""(pixels uint8 (B, 28, 28),), followed by labels int64 (B,) if the table has them."""


class DigitDataset(Dataset[Batch]):
    """The rows of a table, indexed one at a time or, several times faster, a batch at a time.

    Args:
        table: images and labels; both are copied.
        device: device that stores the rows and creates the batches.
        outliers: non-digits, uint8 (M, 28, 28), appended to the table's rows with label 10.
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
        """Return one row: pixels uint8 (28, 28), followed by the label if the table has labels."""
        return tuple(tensor[row] for tensor in self.tensors)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """Return these rows as one batch; the DataLoader calls this instead of __getitem__."""
        indices = torch.as_tensor(rows, device=self.tensors[0].device)
        return tuple(tensor[indices] for tensor in self.tensors)


def training_loader(
    table: DigitTable, recipe: Recipe, device: torch.device = CPU, outliers: Pixels | None = None
) -> DataLoader[Batch]:
    """Return the full batches of one epoch, reshuffled each epoch; an incomplete last batch or update is dropped.

    A GPU stores the complete table, 784 bytes per image, unless the recipe sets `workers` or `pin_memory`; then the
    rows stay in host memory. An epoch makes at least its share of `minimum_updates` updates. For that it repeats a
    small table, and may end in the middle of it. There are at most as many `workers` as cores.
    """
    on_gpu = device.type == "cuda" and not recipe.workers and not recipe.pin_memory
    dataset = DigitDataset(table, device if on_gpu else CPU, outliers)
    batch_size = min(recipe.batch_size, len(dataset))
    images_per_update = batch_size * recipe.gradient_accumulation
    images = max(len(dataset), -(-recipe.minimum_updates // recipe.epochs) * images_per_update)
    # Smaller batches with as many images in an update then make as many updates.
    incomplete = images % images_per_update
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=RandomSampler(dataset, num_samples=images - incomplete if incomplete < images else images),
        drop_last=True,
        collate_fn=_keep_batch,
        num_workers=min(recipe.workers, os.cpu_count() or 1),
        pin_memory=recipe.pin_memory and device.type == "cuda",
        persistent_workers=recipe.workers > 0,
    )


def ordered_loader(table: DigitTable, batch_size: int) -> DataLoader[Batch]:
    """Return the batches of a table in row order, each row once, for evaluation and prediction."""
    return DataLoader(DigitDataset(table), batch_size=batch_size, shuffle=False, collate_fn=_keep_batch)


def _keep_batch(batch: Any) -> Any:
    """Return the batch unchanged: `__getitems__` has already collated it."""
    return batch


def to_ink(pixels: Tensor) -> Tensor:
    """Return uint8 (B, 28, 28) as float32 (B, 1, 28, 28), 0 = paper, 1 = full ink."""
    return pixels.unsqueeze(1).float().div_(255)


def normalise(images: Tensor, recipe: Recipe) -> Tensor:
    """Return the network's input from `to_ink`: resized to (B, 1, image_size, image_size) and normalised."""
    if recipe.image_size != images.shape[-1]:
        images = interpolate(images, [recipe.image_size] * 2, mode="bilinear", antialias=True)
    return (images - recipe.mean).div_(recipe.std)
