"""Run one measurement and print its figures as JSON.

Usage: PYTHONPATH=. python benchmarks/measure.py NAME JSON

NAME is a function of this module, JSON holds its arguments. bench.py starts a process for each measurement, so that
none shares memory, caches or threads with another. Every rate is the median of several passes, with the lowest and the
highest.
"""

import json
import logging
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from pipeline import CsvFile, DigitTable, Predictor, Recipe, Run, find_source, train
from pipeline.data.loader import normalise, to_ink
from pipeline.digits import SIDE, Labels
from pipeline.inference.fuse import FusedConvReLU
from pipeline.models import build
from pipeline.training.trainer import Trainer
from pipeline.utils.device import autocast, compute_dtype, keep_freed_memory
from pipeline.utils.prefetch import prefetch

CPU = torch.device("cpu")
LAYOUT = torch.channels_last
DATA = Path("data")


def digits(rows: int) -> DigitTable:
    """Return `rows` labelled digits from the first source found, repeated if the source has fewer."""
    table = find_source("auto", DATA).read_train()
    indices = torch.arange(rows) % len(table)
    return table.select(indices.numpy())


def seconds(action: Callable[[], object], passes: int) -> list[float]:
    """Return the seconds that an action takes in each pass, after one warm-up."""
    action()
    times = []
    for _ in range(passes):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return times


def rates(images: int, times: list[float]) -> dict[str, float]:
    """Return images per second: the median, the lowest and the highest."""
    per_second = sorted(images / elapsed for elapsed in times)
    return {"rate": statistics.median(per_second), "low": per_second[0], "high": per_second[-1]}


def peak_mib() -> float:
    """Return the peak memory of this process, in MiB; Linux only."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match
    return int(match[1]) / 1024


# The machine


def peaks() -> dict[str, float]:
    """Return the peak rates of 3x3 convolutions on this machine, in GFLOP/s, forward, and forward and backward."""
    keep_freed_memory()
    best = {}
    for dtype in (torch.float32, torch.bfloat16):
        measured = [convolution_rates(dtype, *shape) for shape in ((64, 28), (128, 28), (128, 14), (256, 14))]
        name = str(dtype).removeprefix("torch.")
        best[f"{name} forward"], best[f"{name} forward and backward"] = (
            max(values) for values in zip(*measured, strict=True)
        )
    return best


def convolution_rates(dtype: torch.dtype, channels: int, side: int) -> tuple[float, float]:
    """Return GFLOP/s of one convolution on 64 images, for the forward pass and for both passes."""
    images = torch.randn(64, channels, side, side, dtype=dtype).contiguous(memory_format=LAYOUT).requires_grad_()
    layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False, dtype=dtype).to(memory_format=LAYOUT)
    gflop = 2 * images.numel() * channels * 9 / 1e9
    with torch.no_grad():
        forward = gflop / min(seconds(lambda: layer(images), 10))
    gradient = torch.randn_like(layer(images))
    return forward, 3 * gflop / min(seconds(lambda: layer(images).backward(gradient), 10))


def layer_shares(recipe: str) -> dict[str, float]:
    """Return the time of torch's own convolutions as a fraction of a prediction and of an update of that network.

    It is 1 if only the convolutions take time, and they are as fast as torch's.
    """
    settings = Recipe.load(recipe)
    dtype = compute_dtype(settings.precision, CPU)
    predictor = Predictor(build(settings), settings)
    images = torch.randn(1024, 1, settings.image_size, settings.image_size).to(dtype).contiguous(memory_format=LAYOUT)
    calls: list[tuple[FusedConvReLU, Tensor]] = []
    layers = [module for module in predictor.fused.modules() if isinstance(module, FusedConvReLU)]
    hooks = [layer.register_forward_hook(lambda layer, inputs, _: calls.append((layer, inputs[0]))) for layer in layers]
    with torch.inference_mode():
        predictor.fused(images)
        for hook in hooks:
            hook.remove()
        ratios = []
        for _ in range(3):
            convolutions = sum(min(seconds(lambda: layer(given), 5)) for layer, given in calls)  # noqa: B023
            ratios.append(convolutions / min(seconds(lambda: predictor.fused(images), 5)))
    prediction = statistics.median(ratios)
    return {"prediction": prediction, "update": update_share(settings, dtype)}


def update_share(settings: Recipe, dtype: torch.dtype) -> float:
    """Return the time of torch's own convolutions as a fraction of an update's forward and backward pass."""
    model = build(settings).to(memory_format=LAYOUT)
    trained = Trainer(settings, digits(600), digits(100), Run.create(f"{tempfile.mkdtemp()}/run", settings)).model
    images = torch.randn(settings.batch_size, 1, settings.image_size, settings.image_size)
    images = images.contiguous(memory_format=LAYOUT)
    calls: list[tuple[nn.Conv2d, Tensor, Tensor]] = []
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda layer, inputs, output: calls.append((layer, inputs[0], output)))
    with torch.no_grad(), autocast(dtype, CPU):
        model(images)
    labels = torch.zeros(len(images), dtype=torch.int64)

    def update() -> None:
        with autocast(dtype, CPU):
            logits = trained(images)
        cross_entropy(logits.float(), labels).backward()

    ratios = []
    for _ in range(3):
        convolutions = 0.0
        for layer, given, output in calls:
            weight, geometry = layer.weight.detach().to(dtype), (layer.stride, layer.padding)
            images_in, needs = given.to(dtype), [given.shape[1] > 1, True, False]
            gradient = torch.ones_like(output.to(dtype))
            convolutions += min(seconds(lambda: conv2d(images_in, weight, None, *geometry), 5))  # noqa: B023
            convolutions += min(
                seconds(
                    lambda: torch.ops.aten.convolution_backward(
                        gradient, images_in, weight, None, *geometry, [1, 1], False, [0, 0], 1, needs  # noqa: B023
                    ),
                    5,
                )
            )  # fmt: skip
        ratios.append(convolutions / min(seconds(update, 5)))
    return statistics.median(ratios)


# This project


def training(recipe: str, images: int, threads: int = 0) -> dict[str, float]:
    """Return the training rate of a recipe, including augmentation and optimizer."""
    if threads:
        torch.set_num_threads(threads)
    settings = Recipe.load(recipe, ["minimum_updates=0", "epochs=10"])
    table = digits(images)
    trainer = Trainer(settings, table, digits(100), Run.create(f"{tempfile.mkdtemp()}/run", settings))
    passes = 3 if images <= 60_000 else 1
    if passes == 1:  # a long pass needs no warm-up
        started = time.perf_counter()
        trainer.train_batches(1, quiet=True)
        times = [time.perf_counter() - started]
    else:
        times = seconds(lambda: trainer.train_batches(1, quiet=True), passes)
    return {**rates(images, times), "seconds": statistics.median(times), "MiB": peak_mib()}


def prediction(recipe: str, images: int, threads: int = 0) -> dict[str, float]:
    """Return the prediction rate for images in memory."""
    if threads:
        torch.set_num_threads(threads)
    predictor = confident_predictor(recipe)
    table = digits(images)
    return {**rates(images, seconds(lambda: predictor.predict(table.pixels), 5)), "MiB": peak_mib()}


def confident_predictor(recipe: str) -> Predictor:
    """Return an untrained predictor with scaled-up logits: like a trained one, it is confident in most predictions."""
    settings = Recipe.load(recipe)
    torch.manual_seed(0)
    model = build(settings)
    with torch.no_grad():
        for _ in range(20):
            model.train()(normalise(to_ink(torch.from_numpy(digits(64).pixels.copy())), settings))
        list(model.modules())[-1].weight.mul_(100)  # type: ignore[operator, union-attr]
    return Predictor(model, settings)


def accuracy(recipe: str) -> dict[str, float | None]:
    """Train a complete recipe; return its validation accuracy, and the seconds until it reaches 99 % and 99.5 %."""
    logging.disable()
    source = find_source("auto", DATA)
    run = train(Recipe.load(recipe), source, f"{tempfile.mkdtemp()}/run", quiet=True)
    elapsed, reached = 0.0, {}
    for epoch in run.history:
        elapsed += epoch.seconds
        for goal in (0.99, 0.995):
            if (epoch.validation_accuracy or 0) >= goal:
                reached.setdefault(goal, elapsed)
    return {
        "99 %": reached.get(0.99),
        "99.5 %": reached.get(0.995),
        "accuracy": run.card.scores["validation_accuracy"],
        "rows": run.card.validation_rows,
        "seconds": elapsed,
        "parameters": run.card.parameters,
        "MiB": peak_mib(),
    }


def csv_prediction(rows: int) -> dict[str, float]:
    """Return the rate at which `fast` reads and predicts a CSV with `rows` random images."""
    predictor = confident_predictor("fast")
    generator = random.Random(0)
    images = [",".join(str(generator.choice((0, 0, 0, 0, 255))) for _ in range(784)) + "\n" for _ in range(1000)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        with path.open("w") as file:
            file.write(",".join(f"pixel{index}" for index in range(784)) + "\n")
            for row in range(rows):
                file.write(images[row % 1000])
        started = time.perf_counter()
        chunks = prefetch(CsvFile(path).chunks(labels_required=False))
        assert (
            sum(len(predicted) for predicted in prefetch(predictor.predict(chunk.pixels) for chunk in chunks)) == rows
        )
        elapsed = time.perf_counter() - started
    return {"rate": rows / elapsed, "seconds": elapsed, "MiB": peak_mib()}


# The naive loop: one image at a time through PIL, float32, contiguous memory format, torch's optimizer unchanged


class NaiveDataset(Dataset[tuple[Tensor, int]]):
    """Digits as in tutorials: each access converts one image to PIL, warps it and converts it to a tensor."""

    def __init__(self, table: DigitTable, recipe: Recipe, *, warped: bool) -> None:
        self.pixels, self.labels = table.pixels, table.known_labels
        warp = v2.RandomAffine(
            recipe.rotation,
            translate=(recipe.shift, recipe.shift),
            scale=(1 - recipe.zoom, 1 + recipe.zoom),
            shear=recipe.shear,
        )
        steps = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([recipe.mean], [recipe.std])]
        resize = [v2.Resize(recipe.image_size)] if recipe.image_size != SIDE else []
        self.transform = v2.Compose([v2.ToPILImage(), *([warp] if warped else []), *resize, *steps])

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(self.pixels[row]), int(self.labels[row])


def naive_training(recipe: str, images: int) -> dict[str, float]:
    """Return the training rate of the naive loop for a recipe's network."""
    settings = Recipe.load(recipe)
    loader = DataLoader(NaiveDataset(digits(images), settings, warped=True), settings.batch_size, shuffle=True)
    model = build(settings)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def epoch() -> None:
        for batch, labels in loader:
            optimizer.zero_grad()
            cross_entropy(model(batch), labels).backward()
            optimizer.step()

    return {**rates(images, seconds(epoch, 3)), "MiB": peak_mib()}


def naive_prediction(recipe: str, images: int) -> dict[str, float]:
    """Return the prediction rate of a recipe's network for prepared tensors in batches of 64, in float32.

    The transforms are omitted, so that only the networks are compared. This project's rate includes its own.
    """
    settings = Recipe.load(recipe)
    model = build(settings).eval()
    prepared = normalise(to_ink(torch.from_numpy(digits(images).pixels.copy())), settings)

    def predict() -> list[Labels]:
        with torch.no_grad():
            return [model(batch).argmax(1).numpy() for batch in prepared.split(64)]

    return {**rates(images, seconds(predict, 5)), "MiB": peak_mib()}


if __name__ == "__main__":
    action = globals()[sys.argv[1]]
    print(json.dumps(action(**json.loads(sys.argv[2]))))
