"""A visitor's digits as files."""

import zipfile
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from demo.digits import digits_file
from demo.pictures import png_url
from pipeline import CsvFile, DigitTable, UserError


@pytest.fixture(scope="module")
def frames(digits: DigitTable) -> list[str]:
    """Return three digits as the page holds them."""
    return [png_url(frame) for frame in digits.pixels[:3]]


def test_the_csv_is_kaggles(frames: list[str], digits: DigitTable, tmp_path: Path) -> None:
    path = tmp_path / "digits.csv"
    path.write_bytes(digits_file(frames, [4, 0, 9], "csv"))
    table = CsvFile(path).read(labels_required=True)
    np.testing.assert_array_equal(table.pixels, digits.pixels[:3])
    np.testing.assert_array_equal(table.known_labels, [4, 0, 9])


def test_the_archive_has_a_folder_for_each_digit(frames: list[str], digits: DigitTable) -> None:
    archive = zipfile.ZipFile(BytesIO(digits_file(frames, [4, 0, 4], "png")))
    assert archive.namelist() == ["4/0001.png", "0/0002.png", "4/0003.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(archive.open("0/0002.png"))), digits.pixels[1])


@pytest.mark.parametrize("labels", [[], [1, 2], [1, 2, 10], [1, 2, -1]])
def test_labels_that_do_not_fit_are_refused(frames: list[str], labels: list[int]) -> None:
    with pytest.raises(UserError):
        digits_file(frames, labels, "csv")


def test_other_pictures_are_refused() -> None:
    with pytest.raises(UserError, match="28x28"):
        digits_file([png_url(np.zeros((27, 28), dtype=np.uint8))], [1], "csv")


def test_the_page_answers_with_the_file_or_the_reason(client: httpx.Client, frames: list[str]) -> None:
    def ask(*values: object) -> httpx.Response:
        return client.post("/gradio_api/run/digits", json={"data": list(values)})

    assert ask(frames, [1, 2, 3], "csv").status_code == 200
    refused = ask(frames, [1, 2, 33], "csv")
    assert refused.status_code == 422
    assert ask(["/etc/passwd"], [1], "csv").status_code == 422
