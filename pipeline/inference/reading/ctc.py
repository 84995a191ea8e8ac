"""CTC: strings, their probabilities and their positions, from the probabilities of frames (Graves et al. 2006)."""

import numpy as np
from numpy.typing import NDArray

from pipeline.models.line import BLANK

Probabilities = NDArray[np.float64]
"""(T, C): of each class in each frame; class 0 is the blank, and symbol s is class s + 1."""
LOWEST = 1e-30
BEAM_WIDTH = 8
"""Prefixes that the search keeps after each frame."""
MIN_PROBABILITY = 1e-3
"""Classes below this are left out of a frame."""
SMOOTHING = 2.5
"""Temperature of the frames in the search. Neighbouring frames err together, but CTC takes them for independent: at a
temperature of 1, narrow digits between others are lost."""


def decode(probabilities: Probabilities) -> list[int]:
    """Return the symbols of the most probable string, by prefix beam search (Hannun et al. 2014, arXiv:1408.2873)."""
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (1.0, 0.0)}
    for frame in flatten(probabilities, SMOOTHING):
        classes = np.flatnonzero(frame > MIN_PROBABILITY).tolist()
        grown = _extend(beam, [(each, float(frame[each])) for each in classes])
        beam = dict(sorted(grown.items(), key=lambda item: -sum(item[1]))[:BEAM_WIDTH])
    return [each - 1 for each in next(iter(beam))]


def flatten(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Return the probabilities of the frames at a temperature: those of their logits divided by it."""
    powers = probabilities ** (1 / temperature)
    flattened: Probabilities = powers / powers.sum(axis=1, keepdims=True)
    return flattened


def _extend(
    beam: dict[tuple[int, ...], tuple[float, float]], frame: list[tuple[int, float]]
) -> dict[tuple[int, ...], tuple[float, float]]:
    """Return a beam after one more frame.

    Args:
        beam: for each prefix, of classes, the probabilities of its paths that end with a blank, and of the others.
        frame: classes with their probabilities.
    """
    grown: dict[tuple[int, ...], tuple[float, float]] = {}

    def add(prefix: tuple[int, ...], blank: float, symbol: float) -> None:
        before = grown.get(prefix, (0.0, 0.0))
        grown[prefix] = before[0] + blank, before[1] + symbol

    for prefix, (blank, symbol) in beam.items():
        for each, probability in frame:
            if each == BLANK:
                add(prefix, probability * (blank + symbol), 0)
            elif prefix and prefix[-1] == each:
                add(prefix, 0, probability * symbol)
                add((*prefix, each), 0, probability * blank)
            else:
                add((*prefix, each), 0, probability * (blank + symbol))
    return grown


def log_likelihoods(probabilities: Probabilities, strings: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the logarithm of the probability of each string, the sum over all of its paths, float64 (N,).

    Args:
        probabilities: (T, C).
        strings: symbols, (N, K).
    """
    states, skips = _states(strings)
    forward = np.zeros(states.shape)
    forward[:, 0] = 1
    total = np.zeros(len(states))
    for index, frame in enumerate(probabilities):
        if index:
            moved = forward.copy()
            moved[:, 1:] += forward[:, :-1]
            moved[:, 2:] += forward[:, :-2] * skips[:, 2:]
            forward = moved
        elif states.shape[1] > 1:
            forward[:, 1] = 1
        forward = forward * frame[states]
        scale = np.maximum(forward.sum(axis=1), LOWEST)
        forward /= scale[:, None]
        total += np.log(scale)
    result: NDArray[np.float64] = total + np.log(np.maximum(forward[:, -2:].sum(axis=1), LOWEST))
    return result


def align(probabilities: Probabilities, symbols: list[int]) -> list[tuple[int, int]]:
    """Return the first and last frame, exclusive, of each symbol on the most probable path of a string.

    Args:
        probabilities: (T, C); T is large enough for the string.
        symbols: K symbols.
    """
    (states,), (skips,) = _states(np.array([symbols], dtype=np.int64).reshape(1, -1))
    logs = np.log(np.maximum(probabilities[:, states], LOWEST))
    barred = np.where(skips, 0, -np.inf)
    score = np.full(len(states), -np.inf)
    score[:2] = logs[0, :2]
    steps = np.zeros(logs.shape, dtype=np.int64)
    for index in range(1, len(logs)):
        once = np.concatenate([[-np.inf], score[:-1]])
        twice = np.concatenate([[-np.inf, -np.inf], score[:-2]])[: len(states)] + barred
        moves = np.stack([score, once, twice])
        steps[index] = moves.argmax(axis=0)
        score = moves.max(axis=0) + logs[index]
    state = len(states) - 1 if len(states) == 1 or score[-1] >= score[-2] else len(states) - 2
    path = [state]
    for index in range(len(logs) - 1, 0, -1):
        path.append(path[-1] - steps[index, path[-1]])
    visited = np.array(path[::-1])
    frames = [np.flatnonzero(visited == 2 * place + 1) for place in range(len(symbols))]
    return [(int(own[0]), int(own[-1]) + 1) for own in frames]


def _states(strings: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the classes of the states of strings, (N, 2 K + 1), and whether a state follows that two before it."""
    states = np.full((len(strings), 2 * strings.shape[1] + 1), BLANK)
    states[:, 1::2] = strings + 1
    skips = np.zeros(states.shape, dtype=bool)
    skips[:, 3::2] = strings[:, 1:] != strings[:, :-1]
    return states, skips
