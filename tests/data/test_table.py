import numpy as np
import pytest

from pipeline import DigitTable, Fingerprint, UserError
from pipeline.data.table import BLOCKS


def random_table(labels: list[int]) -> DigitTable:
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 28, 28)).astype(np.uint8)
    return DigitTable(pixels, np.array(labels, dtype=np.int64))


def test_a_table_cannot_be_written_to(digits: DigitTable) -> None:
    with pytest.raises(ValueError, match="read-only"):
        digits.pixels[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        digits.known_labels[0] = 1


def test_a_table_leaves_the_callers_array_writable() -> None:
    pixels = np.zeros((2, 28, 28), dtype=np.uint8)
    DigitTable(pixels)
    pixels[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("pixels", "labels", "fault"),
    [
        (np.zeros((2, 28, 28)), None, "uint8"),
        (np.zeros((2, 784), dtype=np.uint8), None, r"\(N, 28, 28\)"),
        (np.zeros((2, 28, 28), dtype=np.uint8), np.zeros(3, dtype=np.int64), "one for each image"),
        (np.zeros((2, 28, 28), dtype=np.uint8), np.array([0, 10]), "label 10 of image 2"),
    ],
)
def test_a_wrong_shape_type_or_label_is_refused(pixels: np.ndarray, labels: np.ndarray | None, fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        DigitTable(pixels, labels)


def test_a_split_keeps_every_row_once() -> None:
    table = random_table([0, 1, 2, 3, 4] * 20)
    kept, held_out = table.split(0.25, seed=3)
    assert (len(kept), len(held_out)) == (75, 25)
    rows = np.concatenate([kept.pixels, held_out.pixels]).reshape(100, -1)
    assert {row.tobytes() for row in rows} == {image.tobytes() for image in table.pixels}


def test_rows_keep_their_numbers_through_every_selection(digits: DigitTable) -> None:
    assert digits.row_numbers.tolist() == list(range(1, len(digits) + 1))
    for part in (
        *digits.split(0.1, seed=0),
        digits.sample(100, seed=1),
        digits.split(0.5, seed=0)[1].sample(50, seed=2),
    ):
        assert np.array_equal(digits.pixels[part.row_numbers - 1], part.pixels)
    with pytest.raises(ValueError, match="read-only"):
        part.row_numbers[0] = 1


def test_a_sample_has_the_given_number_of_rows_or_all(digits: DigitTable) -> None:
    assert len(digits.sample(333, seed=0)) == 333
    assert digits.sample(len(digits), seed=0) is digits
    assert digits.sample(len(digits) + 1, seed=0) is digits


def test_a_split_gives_each_digit_its_share(digits: DigitTable) -> None:
    _, held_out = digits.split(0.1, seed=0)
    share = np.bincount(held_out.known_labels, minlength=10) - 0.1 * np.bincount(digits.known_labels, minlength=10)
    assert len(held_out) == round(0.1 * len(digits))
    assert np.abs(share).max() < 1


def test_a_split_depends_on_its_seed_alone(digits: DigitTable) -> None:
    first, again, other = (digits.split(0.1, seed)[1].fingerprint.digest for seed in (5, 5, 6))
    assert first == again != other


def test_a_table_without_labels_or_with_too_few_rows_cannot_be_split(digits: DigitTable) -> None:
    with pytest.raises(UserError, match="no labels"):
        DigitTable(digits.pixels).split(0.1, seed=0)
    with pytest.raises(UserError, match="add more rows"):
        random_table([1, 2, 3]).split(0.1, seed=0)


def test_a_fingerprint_is_independent_of_order_and_labels(digits: DigitTable) -> None:
    reversed_rows = DigitTable(digits.pixels[::-1])
    assert digits.fingerprint.digest == reversed_rows.fingerprint.digest


def test_one_pixel_changes_a_fingerprint(digits: DigitTable) -> None:
    pixels = np.array(digits.pixels)
    pixels[7, 14, 14] ^= 1
    assert DigitTable(pixels).fingerprint.digest != digits.fingerprint.digest


def test_fingerprints_count_the_images_in_both_tables(digits: DigitTable) -> None:
    rows = np.arange(len(digits))
    left, right = digits.select(rows[:300]), digits.select(rows[200:600])
    assert left.fingerprint.count_duplicates(right.fingerprint) == 100
    assert left.fingerprint.count_duplicates(digits.select(rows[600:]).fingerprint) == 0


def test_a_copy_shifted_by_a_few_grey_levels_is_found(digits: DigitTable) -> None:
    noise = np.random.default_rng(0).integers(-3, 4, digits.pixels.shape)
    shifted = DigitTable((digits.pixels + noise).clip(0, 255).astype(np.uint8)).fingerprint
    kept = digits.select(np.arange(1000)).fingerprint
    assert kept.count_duplicates(shifted) == 0
    assert kept.count_near_duplicates(shifted) == 1000
    assert kept.count_near_duplicates(digits.fingerprint) == 0


def test_a_fingerprint_without_block_means_finds_exact_copies_only(digits: DigitTable) -> None:
    kept = digits.fingerprint
    old = Fingerprint(kept.hashes, np.empty((0, BLOCKS), np.uint8))
    assert (old.count_duplicates(kept), old.count_near_duplicates(kept)) == (len(digits), 0)
    assert old.count_near_duplicates(DigitTable(digits.pixels // 2).fingerprint) == 0
