import os

import numpy as np
import pytest
import torch

from pipeline import DigitTable, Recipe
from pipeline.data.loader import DigitDataset, normalise, ordered_loader, to_ink, training_loader


def test_a_batch_equals_its_rows_read_singly(digits: DigitTable) -> None:
    dataset = DigitDataset(digits)
    rows = [5, 3, 900, 3]
    for batch, rows_singly in zip(
        dataset.__getitems__(rows), zip(*(dataset[row] for row in rows), strict=True), strict=True
    ):
        assert torch.equal(batch, torch.stack(rows_singly))


def test_pixels_stay_uint8_until_the_batch(digits: DigitTable) -> None:
    pixels, labels = next(iter(ordered_loader(digits, 64)))
    assert (pixels.dtype, tuple(pixels.shape)) == (torch.uint8, (64, 28, 28))
    assert labels.dtype == torch.int64


@pytest.mark.parametrize("labelled", [True, False])
def test_the_ordered_loader_gives_every_row_once_in_order(digits: DigitTable, labelled: bool) -> None:
    table = digits if labelled else DigitTable(digits.pixels)
    batches = list(ordered_loader(table, 100))
    assert len(batches[0]) == (2 if labelled else 1)
    assert np.array_equal(torch.cat([batch[0] for batch in batches]).numpy(), digits.pixels)


def test_the_training_loader_shuffles_each_epoch_without_duplicates(digits: DigitTable) -> None:
    table = digits.select(np.arange(1280))
    loader = training_loader(table, Recipe.load("fast", ["minimum_updates=0", "batch_size=128"]))
    epochs = [torch.cat([pixels for pixels, _ in loader]).numpy().reshape(1280, -1) for _ in range(2)]
    assert not np.array_equal(*epochs)
    for epoch in epochs:
        assert {row.tobytes() for row in epoch} == {image.tobytes() for image in table.pixels}


def test_an_epoch_of_a_small_table_has_several_passes_up_to_minimum_updates(digits: DigitTable) -> None:
    table = digits.select(np.arange(50))
    recipe = Recipe.load("fast", ["epochs=4", "minimum_updates=100", "batch_size=256"])
    loader = training_loader(table, recipe)
    assert recipe.epochs * len(loader) == 100
    assert loader.batch_size == 50


def test_minimum_updates_are_not_exceeded_to_complete_a_pass(digits: DigitTable) -> None:
    table = digits.select(np.arange(1280))
    loader = training_loader(table, Recipe.load("fast", ["epochs=2", "minimum_updates=30", "batch_size=128"]))
    batches = [pixels.numpy().reshape(128, -1) for pixels, _ in loader]
    assert len(batches) == 15
    complete_pass = {row.tobytes() for row in np.concatenate(batches[:10])}
    assert complete_pass == {image.tobytes() for image in table.pixels}


def test_an_epoch_of_a_large_table_has_one_pass(digits: DigitTable) -> None:
    loader = training_loader(digits, Recipe.load("fast", ["epochs=4", "minimum_updates=10", "batch_size=100"]))
    assert len(loader) == len(digits) // 100


def test_workers_give_the_same_batches(digits: DigitTable) -> None:
    recipe = Recipe.load("fast", ["minimum_updates=0", "batch_size=128"])
    batches = []
    for workers in (0, 2):
        torch.manual_seed(0)
        loader = training_loader(digits, recipe.model_copy(update={"workers": workers}))
        batches.append(torch.cat([pixels for pixels, _ in loader]))
    assert torch.equal(*batches)


def test_ink_is_1_and_paper_0_before_normalisation() -> None:
    recipe = Recipe.load("fast", ["mean=0.25", "std=0.5"])
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).reshape(3, 1, 1).expand(-1, 28, 28)
    assert to_ink(pixels)[:, 0, 5, 7].tolist() == pytest.approx([0, 1, 0.2])
    assert normalise(to_ink(pixels), recipe)[:, 0, 5, 7].tolist() == pytest.approx([-0.5, 1.5, -0.1])


@pytest.mark.parametrize("size", [14, 32, 64])
def test_images_are_resized_to_the_recipes_image_size(digits: DigitTable, size: int) -> None:
    recipe = Recipe.load("resnet18", [f"image_size={size}", "mean=0", "std=1"])
    images = to_ink(torch.from_numpy(digits.pixels[:50].copy()))
    scaled = normalise(images, recipe)
    assert scaled.shape == (50, 1, size, size)
    assert torch.allclose(scaled.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=0.01)
    new_axis, old_axis = torch.linspace(-1, 1, size), torch.linspace(-1, 1, 28)
    after, before = scaled.sum((1, 2)) @ new_axis, images.sum((1, 2)) @ old_axis
    assert torch.allclose(after / scaled.sum((1, 2, 3)), before / images.sum((1, 2, 3)), atol=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_stores_the_table_unless_memory_is_pinned(digits: DigitTable) -> None:
    gpu = torch.device("cuda")
    for overrides, device in (([], "cuda"), (["pin_memory=true"], "cpu")):
        pixels, labels = next(iter(training_loader(digits, Recipe.load("fast", overrides), gpu)))
        assert (pixels.device.type, labels.device.type) == (device, device)


def test_no_more_workers_start_than_there_are_cores(digits: DigitTable) -> None:
    loader = training_loader(digits, Recipe.load("fast", ["workers=1000"]))
    assert loader.num_workers == os.cpu_count()
