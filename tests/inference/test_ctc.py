from itertools import groupby, product

import numpy as np
import pytest
import torch

from pipeline.inference.reading.ctc import align, decode, flatten, log_likelihoods


def frames_of(*classes: int) -> np.ndarray:
    """Return probabilities of frames that are nearly certain to be of these classes."""
    probabilities = np.full((len(classes), 12), 1e-4)
    probabilities[np.arange(len(classes)), classes] = 1 - 11e-4
    return probabilities


def random_frames(count: int, classes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(classes), count)


def test_repetitions_and_blanks_are_left_out() -> None:
    assert decode(frames_of(0, 4, 4, 0, 4, 11, 0, 1)) == [3, 3, 10, 0]
    assert decode(frames_of(0, 0, 0)) == []


def test_the_most_probable_string_may_not_be_that_of_the_best_path() -> None:
    frames = np.zeros((2, 12))
    frames[:, 0], frames[:, 6] = 0.55, 0.45  # the best path is blank, but three paths give the symbol 5
    assert decode(frames) == [5]


def test_the_probability_of_a_string_is_the_sum_over_its_paths() -> None:
    frames = random_frames(5, 3)
    sums: dict[tuple[int, ...], float] = {}
    for path in product(range(3), repeat=5):
        string = tuple(each - 1 for each, _ in groupby(path) if each)
        sums[string] = sums.get(string, 0) + float(np.prod(frames[np.arange(5), path]))
    for string, expected in sums.items():
        found = log_likelihoods(frames, np.array([string], dtype=np.int64).reshape(1, -1))
        assert np.exp(found[0]) == pytest.approx(expected)


def test_the_probabilities_are_those_of_torch() -> None:
    frames, strings = random_frames(30, 12), np.array([[3, 3, 10], [0, 9, 1]])
    logs = torch.from_numpy(np.log(frames)).unsqueeze(1).expand(-1, 2, -1)
    expected = torch.nn.functional.ctc_loss(
        logs, torch.from_numpy(strings + 1), torch.tensor([30, 30]), torch.tensor([3, 3]), reduction="none"
    )
    assert log_likelihoods(frames, strings) == pytest.approx(-expected.numpy())


def test_symbols_are_aligned_with_their_frames() -> None:
    frames = frames_of(0, 4, 4, 0, 4, 11, 0, 1)
    assert align(frames, [3, 3, 10, 0]) == [(1, 3), (4, 5), (5, 6), (7, 8)]
    assert align(frames, []) == []


def test_a_narrow_digit_between_two_others_is_kept_though_each_frame_doubts_it() -> None:
    frames = frames_of(0, 4, 0, 2, 2, 0, 8, 0)
    frames[3:5, [0, 2]] = 0.8, 0.1989
    assert decode(frames) == [3, 1, 7]
    frames[3:5, [0, 2]] = 0.95, 0.0489
    assert decode(frames) == [3, 7]


def test_flattened_frames_are_those_of_the_logits_divided_by_the_temperature() -> None:
    frames = random_frames(5, 12)
    expected = torch.from_numpy(np.log(frames) / 2.5).softmax(dim=1).numpy()
    assert flatten(frames, 2.5) == pytest.approx(expected)
