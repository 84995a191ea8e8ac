from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pytest
from helpers.commands import Outcome
from helpers.files import csv_text
from PIL import Image
from pyarrow import parquet

from pipeline import DigitTable, Predictor, Run, UserError, find_source
from pipeline.data.columns import PIXEL_COLUMNS
from pipeline.data.parquet import ParquetFile


def column(pixels: np.ndarray, kind: Any) -> Any:
    """Return images as an Arrow array of bytes or lists."""
    flat = pixels.reshape(len(pixels), -1)
    is_list = arrow.types.is_list(kind) or arrow.types.is_large_list(kind) or arrow.types.is_fixed_size_list(kind)
    return arrow.array(flat.tolist() if is_list else [row.tobytes() for row in flat], kind)


KINDS = {
    "bytes": arrow.binary(),
    "bytes of fixed size": arrow.binary(784),
    "large bytes": arrow.large_binary(),
    "list": arrow.list_(arrow.int64()),
    "large list": arrow.large_list(arrow.int16()),
    "list of fixed size": arrow.list_(arrow.uint8(), 784),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_pixels_are_read_from_a_column_of_bytes_or_lists(kind: Any, digits: DigitTable, tmp_path: Path) -> None:
    pixels = digits.pixels[:50]
    table = arrow.table({"id": list(range(50)), "pixels": column(pixels, kind)})
    parquet.write_table(table, tmp_path / "digits.parquet", row_group_size=20)
    chunks = list(ParquetFile(tmp_path / "digits.parquet").chunks())
    assert np.array_equal(np.concatenate([chunk.pixels for chunk in chunks]), pixels)


def scalar_columns(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return images as the columns pixel0 to pixel783."""
    return dict(zip(PIXEL_COLUMNS, pixels.reshape(len(pixels), -1).T, strict=True))


def test_pixels_are_read_from_784_columns_in_any_order(digits: DigitTable, tmp_path: Path) -> None:
    columns = scalar_columns(digits.pixels[:50])
    table = arrow.table({name: columns[name] for name in sorted(columns)} | {"label": digits.known_labels[:50]})
    parquet.write_table(table, tmp_path / "digits.parquet")
    (chunk,) = ParquetFile(tmp_path / "digits.parquet").chunks()
    assert np.array_equal(chunk.pixels, digits.pixels[:50])


def test_parts_consist_of_row_groups_and_cover_the_file(
    digits: DigitTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.data.parquet.PART_ROWS", 50)
    table = arrow.table({"pixels": column(digits.pixels[:110], arrow.binary(784))})
    parquet.write_table(table, tmp_path / "digits.parquet", row_group_size=20)
    parts = ParquetFile(tmp_path / "digits.parquet").parts()
    assert [part.groups for part in parts] == [range(3), range(3, 6)]
    pixels = [chunk.pixels for part in parts for chunk in part.chunks()]
    assert np.array_equal(np.concatenate(pixels), digits.pixels[:110])


def put(row: int, index: int, value: Any) -> Callable[[list[list[Any]]], None]:
    """Return a function that sets one value of a row, counted from 1."""

    def change(rows: list[list[Any]]) -> None:
        rows[row - 1][index] = value

    return change


FAULTS: dict[str, tuple[Callable[[list[Any]], Any], str]] = {
    "no image": (lambda rows: rows.__setitem__(46, None), "row 47: column pixels: no value"),
    "no pixel": (put(47, 3, None), "row 47: column pixels: no value 4"),
    "783 pixels": (lambda rows: rows[46].pop(), "row 47: column pixels: 783 values, expected 784"),
    "256": (put(47, 3, 256), "row 47: pixel 3: 256 is outside 0 to 255"),
    "-1": (put(47, 783, -1), "row 47: pixel 783: -1 is outside 0 to 255"),
}


@pytest.mark.parametrize(("change", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_value_names_the_file_and_the_row_in_it(
    change: Callable[[list[Any]], Any], fault: str, digits: DigitTable, tmp_path: Path
) -> None:
    rows = digits.pixels[:60].reshape(60, -1).tolist()
    change(rows)
    path = tmp_path / "digits.parquet"
    parquet.write_table(arrow.table({"pixels": arrow.array(rows)}), path, row_group_size=20)
    for file in (ParquetFile(path), ParquetFile(path, range(2, 3))):
        with pytest.raises(UserError, match=rf"digits\.parquet, {fault}; correct it"):
            list(file.chunks())


def test_a_faulty_value_in_784_columns_names_its_row_and_column(digits: DigitTable, tmp_path: Path) -> None:
    columns: dict[str, Any] = scalar_columns(digits.pixels[:9])
    path = tmp_path / "digits.parquet"
    parquet.write_table(arrow.table(columns | {"pixel7": [0, 300, *[0] * 7]}), path)
    with pytest.raises(UserError, match="row 2: pixel 7: 300 is outside 0 to 255"):
        list(ParquetFile(path).chunks())
    parquet.write_table(arrow.table(columns | {"pixel7": [0, None, *[0] * 7]}), path)
    with pytest.raises(UserError, match="row 2: column pixel7: no value"):
        list(ParquetFile(path).chunks())


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"image": [1]}, r'has neither a column "pixels" nor pixel0 to pixel783 \(it has image\)'),
        ({"pixels": [0.5]}, 'column "pixels" is double; make it 784 bytes'),
        ({"pixels": [["0"] * 784]}, 'column "pixels" is list<.*string>; make it 784 bytes'),
        ({name: [0] for name in PIXEL_COLUMNS[:-1]}, 'column "pixel783" is missing'),
        ({name: ["0"] for name in PIXEL_COLUMNS}, 'column "pixel0" is string; make it uint8'),
        ({"pixels": arrow.array([], arrow.binary(784))}, "the file has no rows"),
    ],
)
def test_columns_without_images_are_refused(columns: dict[str, Any], fault: str, tmp_path: Path) -> None:
    path = tmp_path / "digits.parquet"
    parquet.write_table(arrow.table(columns), path)
    with pytest.raises(UserError, match=rf"digits\.parquet: {fault}"):
        list(ParquetFile(path).chunks())


def test_a_damaged_or_missing_file_is_refused(digits: DigitTable, tmp_path: Path) -> None:
    path = tmp_path / "digits.parquet"
    with pytest.raises(UserError, match=r"digits\.parquet: there is no such file"):
        ParquetFile(path).parts()
    parquet.write_table(arrow.table({"pixels": column(digits.pixels, arrow.binary(784))}), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"digits\.parquet: cannot be read as Parquet \("):
        list(ParquetFile(path).chunks())


def test_labels_are_read_and_may_be_required(digits: DigitTable, tmp_path: Path) -> None:
    pixels = column(digits.pixels[:50], arrow.binary(784))
    parquet.write_table(arrow.table({"pixels": pixels}), tmp_path / "test.parquet")
    parquet.write_table(
        arrow.table({"label": digits.known_labels[:50], "pixels": pixels}),
        tmp_path / "train.parquet",
        row_group_size=20,
    )
    table = ParquetFile(tmp_path / "train.parquet").read(labels_required=True)
    assert np.array_equal(table.known_labels, digits.known_labels[:50])
    assert ParquetFile(tmp_path / "test.parquet").read(labels_required=False).labels is None
    with pytest.raises(UserError, match=r'test\.parquet: column "label" is missing; add it'):
        ParquetFile(tmp_path / "test.parquet").read(labels_required=True)


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        ([1, 10, 3], "row 2: column label: 10 is outside 0 to 9"),
        ([1, 2, None], "row 3: column label: no value"),
        (["1", "two", "3"], 'row 2: column label: "two" is not a digit'),
        ([1.0, 2.5, 3.0], 'row 2: column label: "2.5" is not a digit'),
    ],
)
def test_a_wrong_label_is_named_by_its_row(labels: list[Any], fault: str, digits: DigitTable, tmp_path: Path) -> None:
    table = arrow.table({"label": labels, "pixels": column(digits.pixels[:3], arrow.binary(784))})
    parquet.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(UserError, match=fault):
        ParquetFile(tmp_path / "train.parquet").read(labels_required=True)


def hub(digits: DigitTable) -> dict[str, Any]:
    """Return the columns of MNIST on the Hugging Face hub."""
    pictures = []
    for number, image in enumerate(digits.pixels):
        file = BytesIO()
        Image.fromarray(image).save(file, "PNG")
        pictures.append({"bytes": file.getvalue(), "path": f"{number}.png"})
    return {"image": pictures, "label": digits.known_labels}


def numbered(digits: DigitTable, start: int = 0) -> dict[str, Any]:
    """Return columns named by numbers, as pandas writes an array."""
    pixels = digits.pixels.reshape(len(digits), -1)
    return {"label": digits.known_labels} | {str(start + index): column for index, column in enumerate(pixels.T)}


TABLES: dict[str, Callable[[DigitTable], dict[str, Any]]] = {
    "the hub's pictures": hub,
    "numbered columns": numbered,
    "columns numbered from 1": lambda digits: numbered(digits, 1),
    "doubles": lambda digits: (
        {name: column.astype(float) for name, column in scalar_columns(digits.pixels).items()}
        | {"class": digits.known_labels.astype(float)}
    ),
    "0 to 1": lambda digits: {
        "pixels": list(digits.pixels.reshape(len(digits), -1) / 255),
        "Label": digits.known_labels,
    },
    "OpenML's": lambda digits: (
        {f"pixel{index + 1}": column for index, column in enumerate(flat(digits).T)}
        | {"class": arrow.array(digits.known_labels.astype(str)).dictionary_encode()}
    ),
    "black on white": lambda digits: {"pixels": list(255 - flat(digits)), "y": digits.known_labels},
}


def flat(digits: DigitTable) -> np.ndarray:
    return digits.pixels.reshape(len(digits), -1)


@pytest.mark.parametrize("kind", TABLES)
def test_tables_as_others_write_them_are_read(kind: str, digits: DigitTable, tmp_path: Path) -> None:
    table = digits.select(np.arange(60))
    parquet.write_table(arrow.table(TABLES[kind](table)), tmp_path / "data", row_group_size=20)
    found = ParquetFile(tmp_path / "data").read(labels_required=True)
    assert np.array_equal(found.pixels, table.pixels)
    assert np.array_equal(found.known_labels, table.known_labels)


def test_a_row_without_a_picture_is_named(digits: DigitTable, tmp_path: Path) -> None:
    columns = hub(digits.select(np.arange(5)))
    for content in (b"", b"GIF89a no picture"):
        columns["image"][3]["bytes"] = content
        parquet.write_table(arrow.table(columns), tmp_path / "train.parquet")
        with pytest.raises(UserError, match=r"train\.parquet, row 4: column image: (no|is not a) picture"):
            ParquetFile(tmp_path / "train.parquet").read(labels_required=True)


def test_labels_may_be_text(digits: DigitTable, tmp_path: Path) -> None:
    labels = [f"{digit}{end}" for digit, end in zip(digits.known_labels[:20], ["", ".0"] * 10, strict=True)]
    table = arrow.table({"label": labels, "pixels": column(digits.pixels[:20], arrow.binary(784))})
    parquet.write_table(table, tmp_path / "train.parquet")
    found = ParquetFile(tmp_path / "train.parquet").read(labels_required=True)
    assert np.array_equal(found.known_labels, digits.known_labels[:20])


def test_parquet_trains_and_scores_like_csv(
    digits: DigitTable, run: Run, tmp_path: Path, command: Callable[..., Outcome]
) -> None:
    for stem, rows in (("train", slice(0, 300)), ("test", slice(300, 400))):
        labels = {"label": digits.known_labels[rows]} if stem == "train" else {}
        table = arrow.table(labels | {"pixels": column(digits.pixels[rows], arrow.binary(784))})
        parquet.write_table(table, tmp_path / f"{stem}.parquet")
        (tmp_path / f"{stem}.csv").write_text(csv_text(DigitTable(digits.pixels[rows], labels.get("label"))))
    folder = tmp_path / "columns"
    folder.mkdir()
    for stem in ("train", "test"):
        (tmp_path / f"{stem}.parquet").rename(folder / f"{stem}.parquet")
    source = find_source(str(folder), tmp_path)
    assert (
        source.read_train().fingerprint.digest == find_source(str(tmp_path), tmp_path).read_train().fingerprint.digest
    )
    assert len(source.read_test()) == 100
    outcome = command("evaluate", run.folder, "--on", folder / "train.parquet")
    assert outcome.status == 0
    predictions = Predictor.load(run).predict(digits.pixels[:300])
    assert predictions.score(digits.known_labels[:300]).report() in outcome.out
