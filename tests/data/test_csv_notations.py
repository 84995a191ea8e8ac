"""CSV files as people have them: every notation gives the same digits as Kaggle's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pytest
from helpers.files import csv_text

from pipeline import CsvFile, DigitTable, UserError
from pipeline.data.pixel_format import MEAN, STD

PIXELS = [f"pixel{index}" for index in range(784)]
MNIST_IN_CSV = [f"{row}x{column}" for row in range(1, 29) for column in range(1, 29)]


@pytest.fixture(scope="module")
def table(digits: DigitTable) -> DigitTable:
    return digits.select(np.arange(60))


def lines_of(table: DigitTable) -> list[list[str]]:
    return [line.split(",") for line in csv_text(table).splitlines()]


def join(lines: list[list[str]], separator: str = ",", end: str = "\n") -> bytes:
    return "".join(separator.join(line) + end for line in lines).encode()


def header(*names: str) -> Callable[[DigitTable], bytes]:
    return lambda table: join([list(names), *lines_of(table)[1:]])


def label_last(name: str) -> Callable[[DigitTable], bytes]:
    return lambda table: join([[*line[1:], name if line[0] == "label" else line[0]] for line in lines_of(table)])


def separated(separator: str, first: bytes = b"") -> Callable[[DigitTable], bytes]:
    return lambda table: first + join(lines_of(table), separator)


def encoded(encoding: str) -> Callable[[DigitTable], bytes]:
    return lambda table: csv_text(table).encode(encoding)


def with_index(name: str, start: int = 0) -> Callable[[DigitTable], bytes]:
    return lambda table: join(
        [[str(start + number - 1) if number else name, *line] for number, line in enumerate(lines_of(table))]
    )


def frame(table: DigitTable) -> pandas.DataFrame:
    """Return the rows as a table without column names, with the label first."""
    return pandas.DataFrame(np.column_stack([table.known_labels, table.pixels.reshape(len(table), -1)]))


def one_hot(table: DigitTable, *, first: bool = False, names: list[str] | None = None) -> bytes:
    pixels, classes = table.pixels.reshape(len(table), -1), np.eye(10, dtype=int)[table.known_labels]
    columns = [*(names or []), *PIXELS] if first else [*PIXELS, *(names or [])]
    rows = np.column_stack([classes, pixels] if first else [pixels, classes])
    return join([*([columns] if names else []), *(list(map(str, row)) for row in rows.tolist())])


def in_r(table: DigitTable) -> bytes:
    return join([[f'"{number}"', *line] if number else line for number, line in enumerate(lines_of(table))])


NOTATIONS: dict[str, Callable[[DigitTable], bytes]] = {
    "mnist-in-csv": header("label", *MNIST_IN_CSV),
    "pixel1 to pixel784": header("label", *(f"pixel{index}" for index in range(1, 785))),
    "0x0 to 27x27": header("label", *(f"{row}x{column}" for row in range(28) for column in range(28))),
    "numbers as names": header("label", *map(str, range(784))),
    "Label": header("Label", *PIXELS),
    "CLASS": header("CLASS", *PIXELS),
    "target": header("target", *PIXELS),
    "upper case": header("LABEL", *(name.upper() for name in PIXELS)),
    "label last": label_last("class"),
    "y last": label_last("y"),
    "no header": lambda table: join(lines_of(table)[1:]),
    "no header, label last": lambda table: join([[*line[1:], line[0]] for line in lines_of(table)[1:]]),
    "no header, sorted, label last": lambda table: join(
        sorted(([*line[1:], line[0]] for line in lines_of(table)[1:]), key=lambda line: line[-1])
    ),
    "no header, index": lambda table: join([[str(number), *line] for number, line in enumerate(lines_of(table)[1:])]),
    "pandas' numbered header": lambda table: frame(table).to_csv(index=False).encode(),
    "pandas' numbered header and index": lambda table: frame(table).to_csv().encode(),
    "Unnamed: 0": with_index("Unnamed: 0"),
    "index without a name": with_index(""),
    "ImageId": with_index("ImageId", 1),
    "id": with_index("id"),
    "R's row names": in_r,
    "empty last column": lambda table: join([[*line, ""] for line in lines_of(table)]),
    "comma at the end of rows": lambda table: join(
        [[*line, ""] if number else line for number, line in enumerate(lines_of(table))]
    ),
    "one-hot last": lambda table: one_hot(table, names=[f"label_{digit}" for digit in range(10)]),
    "one-hot first": lambda table: one_hot(table, first=True, names=list("0123456789")),
    "one-hot last, no header": one_hot,
    "semicolons": separated(";"),
    "sep=;": separated(";", b"sep=;\r\n"),
    "tabs": separated("\t"),
    "bars": separated("|"),
    "spaces": separated(" "),
    "wide spaces": separated("   "),
    "numpy.savetxt": lambda table: join([[f"{int(cell):.18e}" for cell in line] for line in lines_of(table)[1:]], " "),
    "numpy.savetxt with a header": lambda table: b"# " + csv_text(table).encode(),
    "carriage returns": lambda table: join(lines_of(table), end="\r"),
    "carriage returns, no last one": lambda table: join(lines_of(table), end="\r").rstrip(b"\r"),
    "UTF-8 with a byte-order mark": encoded("utf-8-sig"),
    "UTF-16": encoded("utf-16"),
    "UTF-16 without a mark": encoded("utf-16-le"),
    "UTF-16, big end first": encoded("utf-16-be"),
    "UTF-16, tabs, carriage returns": lambda table: join(lines_of(table), "\t", "\r\n").decode().encode("utf-16"),
    "everything quoted": lambda table: join([[f'"{cell}"' for cell in line] for line in lines_of(table)]),
    "0.0 to 255.0": lambda table: join(
        [[f"{cell}.0" if cell.isdigit() else cell for cell in line] for line in lines_of(table)]
    ),
    "spaces after commas": separated(", "),
}


@pytest.mark.parametrize("notation", NOTATIONS)
def test_every_notation_gives_the_same_digits(notation: str, table: DigitTable, tmp_path: Path) -> None:
    path = tmp_path / "digits"
    path.write_bytes(NOTATIONS[notation](table))
    found = CsvFile(path).read(labels_required=True)
    if "sorted" in notation:
        assert found.fingerprint.digest == table.fingerprint.digest
        assert found.known_labels.tolist() == sorted(table.known_labels)
        return
    assert np.array_equal(found.known_labels, table.known_labels)
    assert np.array_equal(found.pixels, table.pixels)


def scaled(change: Callable[[np.ndarray], np.ndarray], kind: str = "%.9g") -> Callable[[DigitTable], bytes]:
    def write(table: DigitTable) -> bytes:
        rows = change(table.pixels.reshape(len(table), -1).astype(np.float64))
        cells = [[kind % value for value in row] for row in rows.tolist()]
        return join(
            [["label", *PIXELS], *([str(label), *row] for label, row in zip(table.known_labels, cells, strict=True))]
        )

    return write


SCALES: dict[str, tuple[Callable[[DigitTable], bytes], str]] = {
    "0 to 1": (scaled(lambda grey: grey / 255), "values 0 to 1, scaled to 0 to 255"),
    "-1 to 1": (scaled(lambda grey: grey / 127.5 - 1), "values -1 to 1, scaled to 0 to 255"),
    "normalised as in torch's examples": (scaled(lambda grey: (grey / 255 - MEAN) / STD), "values -0.4242 to 2.821"),
    "0 to 1 with decimal commas": (
        lambda table: scaled(lambda grey: grey / 255)(table).replace(b",", b";").replace(b".", b","),
        "values 0 to 1",
    ),
    "black on white": (scaled(lambda grey: 255 - grey, "%d"), "black on white, inverted"),
    "1 to 0": (scaled(lambda grey: 1 - grey / 255), "values 0 to 1, scaled to 0 to 255, black on white, inverted"),
    "transposed, as EMNIST": (
        lambda table: csv_text(DigitTable(table.pixels.transpose(0, 2, 1), table.labels)).encode(),
        "transposed, turned upright",
    ),
}


@pytest.mark.parametrize("scale", SCALES)
def test_the_scale_and_the_sense_are_detected_and_noted(scale: str, digits: DigitTable, tmp_path: Path) -> None:
    write, note = SCALES[scale]
    table = digits.select(np.arange(200))
    (tmp_path / "digits.csv").write_bytes(write(table))
    found = CsvFile(tmp_path / "digits.csv")
    assert note in ", ".join(found.notes())
    assert np.array_equal(found.read(labels_required=True).pixels, table.pixels)


@pytest.mark.parametrize(("dark", "light"), [("1", "0"), ("True", "False"), ("1", "-1"), ("1.0", "0.0")])
def test_two_values_are_ink_and_paper(dark: str, light: str, table: DigitTable, tmp_path: Path) -> None:
    ink = table.pixels.reshape(len(table), -1) > 127
    rows = [[dark if pixel else light for pixel in row] for row in ink.tolist()]
    (tmp_path / "digits.csv").write_bytes(join([PIXELS, *rows]))
    found = CsvFile(tmp_path / "digits.csv").read(labels_required=False)
    assert np.array_equal(found.pixels.reshape(len(table), -1), np.where(ink, 255, 0))


def test_the_scale_is_that_of_the_whole_file(
    table: DigitTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.data.csv_file.CHUNK_ROWS", 8)
    monkeypatch.setattr("pipeline.data.csv_file.PART_BYTES", 20_000)
    pixels = np.minimum(table.pixels, 1)
    pixels[50:] = table.pixels[50:]
    (tmp_path / "digits.csv").write_text(csv_text(DigitTable(pixels)))
    file = CsvFile(tmp_path / "digits.csv")
    assert np.array_equal(file.read(labels_required=False).pixels, pixels)
    (tmp_path / "digits.csv").write_text(csv_text(DigitTable(pixels[:50])))
    parts = file.parts()
    assert len(parts) > 2
    read = np.concatenate([chunk.pixels for part in parts for chunk in part.chunks()])
    assert np.array_equal(read, 255 * pixels[:50])


def test_a_label_at_either_end_without_a_header_is_refused(table: DigitTable, tmp_path: Path) -> None:
    rows = [[*line, str(number % 10)] for number, line in enumerate(lines_of(table)[1:])]
    (tmp_path / "digits.csv").write_bytes(join([[row[0], *row[2:]] for row in rows]))
    with pytest.raises(UserError, match="both the first and the last column may be the label; add a header"):
        CsvFile(tmp_path / "digits.csv").read(labels_required=True)


def test_a_later_fault_among_decimals_is_named_by_its_own_row(table: DigitTable, tmp_path: Path) -> None:
    lines = lines_of(table)
    lines = [lines[0], *([f"{cell}.0" for cell in line] for line in lines[1:])]
    lines[40][9] = "x"
    (tmp_path / "digits.csv").write_bytes(join(lines))
    with pytest.raises(UserError, match=r'row 40 \(line 41\): column pixel8: "x" is not a number'):
        CsvFile(tmp_path / "digits.csv").read(labels_required=True)


def test_a_row_of_another_length_is_refused_in_a_file_with_an_index(table: DigitTable, tmp_path: Path) -> None:
    for change in (lambda line: line.append("0"), lambda line: line.pop()):
        lines = [[str(number), *line] if number else ["", *line] for number, line in enumerate(lines_of(table))]
        change(lines[40])
        (tmp_path / "digits.csv").write_bytes(join(lines))
        with pytest.raises(UserError, match=r"row 40 \(line 41\): 78[57] values, expected 786"):
            CsvFile(tmp_path / "digits.csv").read(labels_required=True)


def test_only_the_competitions_files_are_downloaded_again(tmp_path: Path) -> None:
    for name, remedy in (("train.csv", "kaggle.com/competitions"), ("mine.csv", "save it again")):
        (tmp_path / name).write_bytes(b"<!DOCTYPE html>")
        with pytest.raises(UserError, match=f"this is a web page, not a CSV: .*{remedy}"):
            CsvFile(tmp_path / name).read(labels_required=False)
