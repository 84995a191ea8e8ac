"""Line reader: inference with a network that reads lines of touching digits."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.digits import CLASSES, SIDE
from pipeline.errors import UserError
from pipeline.inference.fuse import fuse
from pipeline.inference.reading.ctc import LOWEST, Probabilities, align, decode, flatten, log_likelihoods
from pipeline.models.line import BLANK, NON_DIGIT, STRIDE, LineNetwork
from pipeline.run import Run
from pipeline.utils.device import keep_freed_memory, memory_format, pick_device

WIDTH_STEP = 16
"""Lines are padded with paper to multiples of this width; those of one width are one batch."""
BATCH_SIZE = 128
BLANK_WEIGHT, NON_DIGIT_WEIGHT = 0.5, 0.1
"""Factors of the probabilities of blanks, which miss digits that overlap, and of non-digits."""

Line = NDArray[np.uint8]
"""(28, W), 0 = paper, 255 = ink, as `frame_line` returns it."""


@dataclass(frozen=True, eq=False)
class LineReading:
    """What a line says.

    Attributes:
        symbols: K symbols from left to right, 0..9 or NON_DIGIT.
        probabilities: float64 (K, 10), of each digit at the place of each symbol, also of a non-digit, if all others
            are right; each row sums to 1.
        columns: start and stop of each symbol in columns of the line. Symbols that touch divide the columns midway.
        probability: of the complete string, in 0..1.
    """

    symbols: tuple[int, ...]
    probabilities: NDArray[np.float64]
    columns: tuple[tuple[int, int], ...]
    probability: float


class LineReader:
    """A trained line network, ready for inference in float32.

    Args:
        model: the network with its trained weights; it is not changed.
        temperature: calibration temperature, by which the logits are divided for probabilities.
    """

    def __init__(self, model: LineNetwork, temperature: float = 1.0) -> None:
        self.temperature = temperature
        self.device = pick_device()
        keep_freed_memory()
        self.memory_format = memory_format(self.device)
        self.fused = fuse(model, self.device).to(self.device).to(memory_format=self.memory_format)

    @classmethod
    def load(cls, run: Run) -> "LineReader | None":
        """Return the line reader of a run; None if the run has no line network.

        Raises:
            UserError: the file is damaged, or its weights are those of another network.
        """
        weights = run.load_line()
        if weights is None:
            return None
        model = LineNetwork()
        try:
            model.load_state_dict(weights)
        except RuntimeError:
            raise UserError(f"{run.line_path}: not the weights of a line network; train the run again") from None
        return cls(model, run.card.line_temperature)

    def read(self, numbers: Sequence[Sequence[Line]]) -> list[LineReading]:
        """Return what lines say, in order. The reading of a number does not depend on the others.

        Args:
            numbers: the views of each number: lines, uint8 (28, W) each, W at least 1, that show it at several sizes.
                The string with the highest mean probability is read. The columns are those of the first view.

        Raises:
            UserError: a line has the wrong dtype or shape.
        """
        for line in (line for views in numbers for line in views):
            if line.dtype != np.uint8 or line.ndim != 2 or line.shape[0] != SIDE or not line.shape[1]:
                raise UserError(f"a line must be uint8 ({SIDE}, W), not {line.dtype} {line.shape}")
        groups = defaultdict[int, list[tuple[int, int]]](list)
        for index, views in enumerate(numbers):
            for view, line in enumerate(views):
                groups[-(-line.shape[1] // WIDTH_STEP) * WIDTH_STEP].append((index, view))
        frames: dict[tuple[int, int], Probabilities] = {}
        for width, members in groups.items():
            for start in range(0, len(members), BATCH_SIZE):
                batch = members[start : start + BATCH_SIZE]
                found = self._frames([numbers[index][view] for index, view in batch], width)
                frames.update(zip(batch, found, strict=True))
        return [
            read_views([frames[index, view] for view in range(len(views))], views[0].shape[1], self.temperature)
            for index, views in enumerate(numbers)
        ]

    @torch.inference_mode()
    def _frames(self, lines: Sequence[Line], width: int) -> NDArray[np.float64]:
        """Return the probabilities of the frames of lines padded to a width, float64 (N, T, C)."""
        padded = np.zeros((len(lines), 1, SIDE, width), dtype=np.float32)
        for row, line in zip(padded, lines, strict=True):
            row[0, :, : line.shape[1]] = line / np.float32(255)
        batch = torch.from_numpy(padded).to(self.device).contiguous(memory_format=self.memory_format)
        logits = self.fused(batch).cpu().double()
        frames: NDArray[np.float64] = logits.softmax(2).permute(1, 0, 2).numpy()
        return frames


def read_views(views: Sequence[Probabilities], width: int, temperature: float = 1.0) -> LineReading:
    """Return the reading of a number from the probabilities of the frames of its views, float64 (T, C) each.

    Args:
        views: the frames of each view.
        width: columns of the first view.
        temperature: as in `LineReader`.
    """
    views = [_weighted(frames) for frames in views]
    strings = {tuple(decode(frames)) for frames in views}
    views = [flatten(frames, temperature) for frames in views]
    symbols = max(sorted(strings), key=lambda each: _probability(views, np.array([each], dtype=np.int64))[0])
    if not symbols:
        blank = float(_probability(views, np.empty((1, 0), dtype=np.int64))[0])
        return LineReading((), np.empty((0, CLASSES)), (), blank)
    string = np.array(symbols)
    # All strings with one symbol replaced by each of the ten digits, after the string itself.
    others = np.tile(string, (len(symbols), CLASSES, 1))
    places = np.arange(len(symbols))
    others[places, :, places] = np.arange(CLASSES)
    found = _probability(views, np.concatenate([string[None], others.reshape(-1, len(symbols))]))
    replaced = np.maximum(found[1:], LOWEST).reshape(len(symbols), CLASSES)
    probabilities = replaced / replaced.sum(axis=1, keepdims=True)
    columns = _columns(align(views[0], list(symbols)), width)
    return LineReading(symbols, probabilities, columns, float(found[0]))


def _weighted(frames: Probabilities) -> Probabilities:
    """Return the probabilities of frames, with fewer non-digits and blanks than in training: most lines are digits."""
    weighted = frames.copy()
    weighted[:, BLANK] *= BLANK_WEIGHT
    weighted[:, NON_DIGIT + 1] *= NON_DIGIT_WEIGHT
    result: Probabilities = weighted / weighted.sum(axis=1, keepdims=True)
    return result


def _probability(views: Sequence[Probabilities], strings: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean probability of each string, (N, K), over the views, float64 (N,)."""
    result: NDArray[np.float64] = np.mean([np.exp(log_likelihoods(frames, strings)) for frames in views], axis=0)
    return result


def _columns(frames: Sequence[tuple[int, int]], width: int) -> tuple[tuple[int, int], ...]:
    """Return the columns of symbols from their frames: a line of `width` columns, divided midway between them."""
    limits = [0, *(round(STRIDE * (a[1] + b[0]) / 2) for a, b in pairwise(frames)), width]
    return tuple(pairwise(limits))
