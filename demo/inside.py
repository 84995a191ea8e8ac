"""Look inside: what every layer of a network computes for one digit, in the form that the page draws."""

import base64
import json
import zlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo.handlers import decode_drawing
from demo.predictors import PredictorPool
from demo.schema import Drawing, Text
from pipeline import Activations, Cell, Layer, UserError

MAX_MAPS = 128
"""Maximum number of maps that are sent of a layer: its first ones."""
MAX_VALUES = 20_000
"""Maximum number of values that are sent of a layer, unless its first `MIN_MAPS` maps have more."""
MIN_MAPS = 16
MAX_TERMS = 2
"""Number of terms of a value that are sent with their patches; the others are summed."""
MAX_PATCH_SIDE = 12
FULL_SCALE = 127
NAMES = {
    "convolution": "Convolution",
    "maximum": "Pooling",
    "mean": "Average",
    "linear": "Linear layer",
    "sum": "Shortcut",
    "concatenation": "Branches joined",
    "ensemble": "All networks",
}


class Inside:
    """Event handler of the panel that shows a network from inside. It computes only what a visitor asks for.

    Args:
        pool: the predictors.
    """

    def __init__(self, pool: PredictorPool) -> None:
        self.pool = pool

    def inside(self, frame: Drawing, run: Text, place: list[int] | None) -> str:
        """Return what each layer computes for a digit, or an error message for the visitor.

        Args:
            frame: the digit as the network sees it, a PNG of 28x28 pixels as a data URL.
            run: name of the run.
            place: layer, channel, row and column of a value to explain, or None.

        Returns:
            Base64 of a zlib stream: the length of a JSON object (4 bytes, little-endian), the object, and the maps,
            int8, layer by layer: each value divided by its layer's "scale" and multiplied by 127. An error has only
            the object, with the message as "error".
        """
        try:
            image = decode_drawing(frame)
            if image is None or image.size != (28, 28):
                raise UserError("Only digits of 28x28 pixels can be shown from inside.")
            found, predictions, temperature = self.pool.activations(np.array(image), run)
            description, maps = describe(found, place)
            description["probabilities"] = floats(predictions.probabilities[0])
            description["temperature"] = temperature
        except UserError as error:
            description, maps = {"error": str(error)}, b""
        head = json.dumps(description, separators=(",", ":")).encode()
        packed = zlib.compress(len(head).to_bytes(4, "little") + head + maps, level=1)
        return base64.b64encode(packed).decode()


def describe(found: Activations, place: list[int] | None) -> tuple[dict[str, Any], bytes]:
    """Return the activations of a digit as a JSON object and its maps; raise a UserError if `place` does not exist."""
    layers, maps = [], []
    for layer, title in zip(found.layers, titles(found.layers), strict=True):
        shown = layer.values[: shown_maps(layer.values.shape)]
        scale = float(np.abs(shown).max()) or 1.0
        maps.append(np.rint(shown * (FULL_SCALE / scale)).astype(np.int8).tobytes())
        window, pixel = layer.window, 28 / len(found.image)
        layers.append(
            {
                "title": title,
                "kind": layer.kind,
                "shape": layer.values.shape,
                "shown": len(shown),
                "scale": scale,
                "kernel": layer.kernel,
                "stages": [name for name, _ in layer.stages],
                "window": [edge * pixel for edge in (window.start, window.step, window.size)],
            }
        )
    cell = None
    if place is not None:
        if len(place) != 4:
            raise UserError("Name a value by its layer, channel, row and column.")
        layer_index, channel, row, column = place
        cell = describe_cell(found.cell(layer_index, channel, row, column)) | {"place": place}
    image = found.image
    return {
        "size": len(image),
        "ink": [float(image.min()), float(image.max())],
        "layers": layers,
        "logits": floats(found.logits),
        "cell": cell,
    }, b"".join(maps)


def titles(layers: Iterable[Layer]) -> list[str]:
    """Return a name for each layer: its kind, numbered if there are several; the last is "Logits"."""
    kinds = [layer.kind for layer in layers]
    totals, counts, names = Counter(kinds), Counter[str](), []
    for kind in kinds:
        counts[kind] += 1
        names.append(f"{NAMES[kind]} {counts[kind]}" if totals[kind] > 1 else NAMES[kind])
    return [*names[:-1], "Logits"]


def shown_maps(shape: tuple[int, ...]) -> int:
    """Return how many maps are sent of a layer with a shape (C, H, W)."""
    channels, height, width = shape
    return min(channels, MAX_MAPS, max(MIN_MAPS, MAX_VALUES // (height * width)))


def describe_cell(cell: Cell) -> dict[str, Any]:
    """Return how a value is computed, as a JSON object."""
    terms = [
        {
            "layer": term.layer,
            "channel": term.channel,
            "row": term.row,
            "column": term.column,
            "side": len(term.patch),
            "patch": patch(term.patch),
            "weights": None if term.weights is None else patch(term.weights),
            "value": term.value,
        }
        for term in cell.terms[:MAX_TERMS]
    ]
    others = cell.terms[MAX_TERMS:]
    return {
        "value": cell.value,
        "terms": terms,
        "others": [len(others), sum(term.value for term in others)],
        "bias": cell.bias,
        "stages": cell.stages,
        "pixels": cell.pixels,
    }


def patch(values: NDArray[np.float32]) -> list[list[float | None]]:
    """Return a patch as rows of numbers, or None for what lies outside a maximum; at most `MAX_PATCH_SIDE` a side."""
    rows = values[:MAX_PATCH_SIDE, :MAX_PATCH_SIDE].tolist()
    return [[value if np.isfinite(value) else None for value in row] for row in rows]


def floats(values: NDArray[np.float32]) -> list[float]:
    """Return an array as a list of numbers."""
    numbers: list[float] = values.astype(float).tolist()
    return numbers
