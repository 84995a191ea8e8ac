"""One measurement in a process of its own: python benchmarks/measure.py NAME JSON prints its figures as JSON.

bench.py calls these one after the other, so that none sees another's memory, caches or threads. Every rate is the
median of several passes, with the lowest and the highest beside it.
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
from pipeline.data.loader import ink, normalise
from pipeline.digits import SIDE, Labels
from pipeline.inference.fuse import FusedConvReLU
from pipeline.models import build
from pipeline.training.trainer import Trainer
from pipeline.utils.device import autocast, compute_dtype, keep_freed_memory
from pipeline.utils.prefetch import prefetch

CPU = torch.device("cpu")
LAYOUT = torch.channels_last
FOLDER = Path("data")


def digits(rows: int) -> DigitTable:
    """Return `rows` labelled digits of what is in data/, MNIST if it is there, repeated where they are not enough."""
    table = find_source("auto", FOLDER).read_train()
    places = torch.arange(rows) % len(table)
    return table.select(places.numpy())


def seconds(action: Callable[[], object], passes: int) -> list[float]:
    """Return how long an action takes, each time that it is done; it is done once before."""
    action()
    times = []
    for _ in range(passes):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return times


def rates(images: int, times: list[float]) -> dict[str, float]:
    """Return images a second: the median, the lowest and the highest."""
    found = sorted(images / each for each in times)
    return {"rate": statistics.median(found), "low": found[0], "high": found[-1]}


def peak_mib() -> float:
    """Return the most memory that this process has held, in MiB; Linux only."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


# What the machine can do


def peaks() -> dict[str, float]:
    """Return the highest rates of 3x3 convolutions on this machine, in GFLOP/s, forwards and with their gradients."""
    keep_freed_memory()
    best = {}
    for dtype in (torch.float32, torch.bfloat16):
        found = [convolution_rates(dtype, *shape) for shape in ((64, 28), (128, 28), (128, 14), (256, 14))]
        name = str(dtype).removeprefix("torch.")
        best[f"{name} forward"], best[f"{name} forward and backward"] = (max(each) for each in zip(*found, strict=True))
    return best


def convolution_rates(dtype: torch.dtype, channels: int, side: int) -> tuple[float, float]:
    """Return GFLOP/s of one convolution on 64 images, forwards, and forwards and backwards."""
    images = torch.randn(64, channels, side, side, dtype=dtype).contiguous(memory_format=LAYOUT).requires_grad_()
    layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False, dtype=dtype).to(memory_format=LAYOUT)
    work = 2 * images.numel() * channels * 9 / 1e9
    with torch.no_grad():
        forwards = work / min(seconds(lambda: layer(images), 10))
    gradient = torch.randn_like(layer(images))
    return forwards, 3 * work / min(seconds(lambda: layer(images).backward(gradient), 10))


def layer_shares(recipe: str) -> dict[str, float]:
    """Return which fraction of a prediction, and of an update, torch's own convolutions of that network would take.

    That is the fraction of the convolution peak for the network's own layers: 1 if nothing but them took time.
    """
    settings = Recipe.load(recipe)
    dtype = compute_dtype(settings.precision, CPU)
    predictor = Predictor(build(settings), settings)
    images = torch.randn(1024, 1, settings.image_size, settings.image_size).to(dtype).contiguous(memory_format=LAYOUT)
    seen: list[tuple[FusedConvReLU, Tensor]] = []
    layers = [module for module in predictor.quick.modules() if isinstance(module, FusedConvReLU)]
    hooks = [layer.register_forward_hook(lambda layer, given, _: seen.append((layer, given[0]))) for layer in layers]
    with torch.inference_mode():
        predictor.quick(images)
        for hook in hooks:
            hook.remove()
        ratios = []
        for _ in range(3):
            alone = sum(min(seconds(lambda: layer(given), 5)) for layer, given in seen)  # noqa: B023
            ratios.append(alone / min(seconds(lambda: predictor.quick(images), 5)))
    prediction = statistics.median(ratios)
    return {"prediction": prediction, "update": update_share(settings, dtype)}


def update_share(settings: Recipe, dtype: torch.dtype) -> float:
    """Return which fraction of an update's forward and backward pass torch's convolutions would take."""
    model = build(settings).to(memory_format=LAYOUT)
    trained = Trainer(settings, digits(600), digits(100), Run.create(f"{tempfile.mkdtemp()}/run", settings)).model
    images = torch.randn(settings.batch_size, 1, settings.image_size, settings.image_size)
    images = images.contiguous(memory_format=LAYOUT)
    seen: list[tuple[nn.Conv2d, Tensor, Tensor]] = []
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda layer, given, answer: seen.append((layer, given[0], answer)))
    with torch.no_grad(), autocast(dtype, CPU):
        model(images)
    labels = torch.zeros(len(images), dtype=torch.int64)

    def update() -> None:
        with autocast(dtype, CPU):
            logits = trained(images)
        cross_entropy(logits.float(), labels).backward()

    ratios = []
    for _ in range(3):
        alone = 0.0
        for layer, given, answer in seen:
            weight, geometry = layer.weight.detach().to(dtype), (layer.stride, layer.padding)
            shown, needs = given.to(dtype), [given.shape[1] > 1, True, False]
            gradient = torch.ones_like(answer.to(dtype))
            alone += min(seconds(lambda: conv2d(shown, weight, None, *geometry), 5))  # noqa: B023
            alone += min(
                seconds(
                    lambda: torch.ops.aten.convolution_backward(
                        gradient, shown, weight, None, *geometry, [1, 1], False, [0, 0], 1, needs  # noqa: B023
                    ),
                    5,
                )
            )  # fmt: skip
        ratios.append(alone / min(seconds(update, 5)))
    return statistics.median(ratios)


# This project


def training(recipe: str, images: int, threads: int = 0) -> dict[str, float]:
    """Return the rate at which a recipe is trained, augmentation, optimizer and all."""
    if threads:
        torch.set_num_threads(threads)
    settings = Recipe.load(recipe, ["minimum_updates=0", "epochs=10"])
    table = digits(images)
    trainer = Trainer(settings, table, digits(100), Run.create(f"{tempfile.mkdtemp()}/run", settings))
    passes = 3 if images <= 60_000 else 1
    if passes == 1:  # long enough to need no warming up
        started = time.perf_counter()
        trainer.pass_over_batches(1, quiet=True)
        times = [time.perf_counter() - started]
    else:
        times = seconds(lambda: trainer.pass_over_batches(1, quiet=True), passes)
    return {**rates(images, times), "seconds": statistics.median(times), "MiB": peak_mib()}


def prediction(recipe: str, images: int, threads: int = 0) -> dict[str, float]:
    """Return the rate at which images in memory are answered."""
    if threads:
        torch.set_num_threads(threads)
    predictor = predictor_of(recipe)
    table = digits(images)
    return {**rates(images, seconds(lambda: predictor.predict(table.pixels), 5)), "MiB": peak_mib()}


def predictor_of(recipe: str) -> Predictor:
    """Return a predictor that is sure of most answers, as a trained one is: its logits are drawn far apart."""
    settings = Recipe.load(recipe)
    torch.manual_seed(0)
    model = build(settings)
    with torch.no_grad():
        for _ in range(20):
            model.train()(normalise(ink(torch.from_numpy(digits(64).pixels.copy())), settings))
        list(model.modules())[-1].weight.mul_(100)  # type: ignore[operator, union-attr]
    return Predictor(model, settings)


def accuracy(recipe: str) -> dict[str, float | None]:
    """Train a recipe to its end, a tenth of the rows set aside, and return how soon it was how good on those."""
    logging.disable()
    source = find_source("auto", FOLDER)
    run = train(Recipe.load(recipe), source, f"{tempfile.mkdtemp()}/run", quiet=True)
    spent, reached = 0.0, {}
    for epoch in run.history:
        spent += epoch.seconds
        for goal in (0.99, 0.995):
            if (epoch.validation_accuracy or 0) >= goal:
                reached.setdefault(goal, spent)
    return {
        "99 %": reached.get(0.99),
        "99.5 %": reached.get(0.995),
        "accuracy": run.card.scores["validation_accuracy"],
        "rows": run.card.validation_rows,
        "seconds": spent,
        "parameters": run.card.parameters,
        "MiB": peak_mib(),
    }


def csv_prediction(rows: int) -> dict[str, float]:
    """Return the rate at which a CSV of so many random images is read and answered by `fast`."""
    predictor = predictor_of("fast")
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
        assert sum(len(answer) for answer in prefetch(predictor.predict(chunk.pixels) for chunk in chunks)) == rows
        spent = time.perf_counter() - started
    return {"rate": rows / spent, "seconds": spent, "MiB": peak_mib()}


# The naive loop: one image at a time through PIL, float32, images in rows, torch's optimizer as it comes


class OneByOne(Dataset[tuple[Tensor, int]]):
    """Digits as tutorials serve them: each becomes a PIL image, is warped and made a tensor when it is asked for."""

    def __init__(self, table: DigitTable, recipe: Recipe, *, warped: bool) -> None:
        self.pixels, self.labels = table.pixels, table.known_labels
        warp = v2.RandomAffine(
            recipe.rotation,
            translate=(recipe.shift, recipe.shift),
            scale=(1 - recipe.zoom, 1 + recipe.zoom),
            shear=recipe.shear,
        )
        steps = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([recipe.mean], [recipe.std])]
        scale = [v2.Resize(recipe.image_size)] if recipe.image_size != SIDE else []
        self.transform = v2.Compose([v2.ToPILImage(), *([warp] if warped else []), *scale, *steps])

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(self.pixels[row]), int(self.labels[row])


def naive_training(recipe: str, images: int) -> dict[str, float]:
    """Return the rate of the naive loop for a recipe's network."""
    settings = Recipe.load(recipe)
    loader = DataLoader(OneByOne(digits(images), settings, warped=True), settings.batch_size, shuffle=True)
    model = build(settings)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def epoch() -> None:
        for batch, labels in loader:
            optimizer.zero_grad()
            cross_entropy(model(batch), labels).backward()
            optimizer.step()

    return {**rates(images, seconds(epoch, 3)), "MiB": peak_mib()}


def naive_prediction(recipe: str, images: int) -> dict[str, float]:
    """Return the rate at which a recipe's network answers batches of 64 in float32, the images being ready tensors.

    The transforms are left out, so that only the networks are compared; ours turns its pixels into tensors besides.
    """
    settings = Recipe.load(recipe)
    model = build(settings).eval()
    ready = normalise(ink(torch.from_numpy(digits(images).pixels.copy())), settings)

    def answer() -> list[Labels]:
        with torch.no_grad():
            return [model(batch).argmax(1).numpy() for batch in ready.split(64)]

    return {**rates(images, seconds(answer, 5)), "MiB": peak_mib()}


if __name__ == "__main__":
    action = globals()[sys.argv[1]]
    print(json.dumps(action(**json.loads(sys.argv[2]))))
