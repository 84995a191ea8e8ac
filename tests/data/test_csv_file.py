import gzip
import io
import os
import signal
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.files import csv_text, encode_idx

from pipeline import CsvFile, DigitTable, UserError
from pipeline.data.arrays.idx import read_idx
from pipeline.data.csv_file import CHUNK_ROWS


@pytest.fixture
def expected(digits: DigitTable) -> DigitTable:
    return digits.select(np.arange(40))


def write_plain(path: Path, text: str) -> None:
    path.write_text(text)


def write_gzipped(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode()))


def write_zipped(path: Path, text: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("digit-recognizer/train.csv", text)
        archive.writestr("digit-recognizer/test.csv", "another CSV")


@pytest.mark.parametrize("pack", [write_plain, write_gzipped, write_zipped])
def test_a_csv_is_read_plain_gzipped_or_zipped(
    tmp_path: Path, expected: DigitTable, pack: Callable[[Path, str], None]
) -> None:
    pack(tmp_path / "file", csv_text(expected))
    table = CsvFile(tmp_path / "file", "train.csv").read(labels_required=True)
    assert np.array_equal(table.pixels, expected.pixels)
    assert np.array_equal(table.known_labels, expected.known_labels)
    assert (table.pixels.dtype, table.known_labels.dtype) == (np.uint8, np.int64)


def test_a_csv_without_labels_has_none(tmp_path: Path, expected: DigitTable) -> None:
    write_plain(tmp_path / "test.csv", csv_text(DigitTable(expected.pixels)))
    table = CsvFile(tmp_path / "test.csv").read(labels_required=False)
    assert table.labels is None
    assert np.array_equal(table.pixels, expected.pixels)


def test_a_byte_order_mark_quotes_and_windows_line_ends_are_accepted(tmp_path: Path, expected: DigitTable) -> None:
    header, *rows = csv_text(expected).splitlines()
    quoted = ",".join(f'"{name}"' for name in header.split(","))
    (tmp_path / "train.csv").write_text("\r\n".join([quoted, *rows]) + "\r\n", encoding="utf-8-sig")
    table = CsvFile(tmp_path / "train.csv").read(labels_required=True)
    assert table.fingerprint.digest == expected.fingerprint.digest


def test_a_long_csv_is_read_in_chunks_in_order(tmp_path: Path) -> None:
    rows = CHUNK_ROWS + 5
    pixels = np.zeros((rows, 28, 28), dtype=np.uint8)
    pixels[:, 0, 0] = np.arange(rows) % 256
    write_plain(tmp_path / "test.csv", csv_text(DigitTable(pixels)))
    chunks = list(CsvFile(tmp_path / "test.csv").chunks(labels_required=False))
    assert [len(chunk) for chunk in chunks] == [CHUNK_ROWS, 5]
    assert np.array_equal(np.concatenate([chunk.pixels for chunk in chunks]), pixels)


def test_a_fault_beyond_the_first_chunk_is_named_by_its_row_in_the_file(tmp_path: Path) -> None:
    text = csv_text(DigitTable(np.zeros((CHUNK_ROWS + 5, 28, 28), dtype=np.uint8))).splitlines()
    text[CHUNK_ROWS + 3] = text[CHUNK_ROWS + 3].replace("0", "256", 1)
    write_plain(tmp_path / "test.csv", "\n".join(text))
    fault = rf"test.csv, row {CHUNK_ROWS + 3} \(line {CHUNK_ROWS + 4}\): column pixel0: 256 is outside 0 to 255"
    with pytest.raises(UserError, match=fault):
        CsvFile(tmp_path / "test.csv").read(labels_required=False)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_the_parts_of_a_csv_cover_all_rows_in_order(
    line_end: str, expected: DigitTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = csv_text(expected).splitlines()
    (tmp_path / "train.csv").write_bytes(line_end.join([*lines[:20], "", *lines[20:]]).encode())
    length = (tmp_path / "train.csv").stat().st_size
    for size in (1, 2000, len(lines[0] + line_end), length // 2, length - 1, length, 2 * length):
        monkeypatch.setattr("pipeline.data.csv_file.PART_BYTES", size)
        parts = CsvFile(tmp_path / "train.csv").parts()
        assert len(parts) >= 2 or size > length // 2
        tables = [chunk for part in parts for chunk in part.chunks()]
        assert np.array_equal(np.concatenate([table.pixels for table in tables]), expected.pixels)
        assert np.array_equal(np.concatenate([table.known_labels for table in tables]), expected.known_labels)


def test_an_archive_is_one_part(expected: DigitTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.data.csv_file.PART_BYTES", 1000)
    write_gzipped(tmp_path / "train.csv.gz", csv_text(expected))
    assert CsvFile(tmp_path / "train.csv.gz").parts() == [CsvFile(tmp_path / "train.csv.gz")]


def test_a_fault_in_a_part_is_named_by_its_row_in_the_file(
    expected: DigitTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.data.csv_file.PART_BYTES", 20_000)
    lines = csv_text(DigitTable(expected.pixels)).splitlines()
    lines[30] = lines[30].replace("0", "256", 1)
    write_plain(tmp_path / "test.csv", "\n".join([*lines[:10], "", *lines[10:]]))
    faults = []
    for part in CsvFile(tmp_path / "test.csv").parts():
        try:
            list(part.chunks())
        except UserError as error:
            faults.append(str(error))
    assert len(faults) == 1
    assert "test.csv, row 30 (line 32): column pixel0: 256 is outside 0 to 255" in faults[0]


def test_idx_files_are_read_plain_and_gzipped(tmp_path: Path, expected: DigitTable) -> None:
    (tmp_path / "images").write_bytes(encode_idx(expected.pixels))
    (tmp_path / "labels").write_bytes(gzip.compress(encode_idx(expected.known_labels.astype(np.uint8))))
    table = read_idx(tmp_path / "images", tmp_path / "labels")
    assert np.array_equal(table.pixels, expected.pixels)
    assert np.array_equal(table.known_labels, expected.known_labels)


@pytest.mark.parametrize(
    ("images", "fault"),
    [
        (b"", "not an IDX file"),
        (b"<html>not found</html>", "not an IDX file"),
        (encode_idx(np.zeros((3, 28, 28), dtype=np.uint8))[:-1], "bytes, expected"),
        (encode_idx(np.zeros((2, 28, 28), dtype=np.uint8)), "3 labels for the 2 images"),
    ],
)
def test_a_damaged_idx_file_is_refused(tmp_path: Path, images: bytes, fault: str) -> None:
    (tmp_path / "images").write_bytes(images)
    (tmp_path / "labels").write_bytes(encode_idx(np.zeros(3, dtype=np.uint8)))
    with pytest.raises(UserError, match=fault):
        read_idx(tmp_path / "images", tmp_path / "labels")


def test_a_missing_idx_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="train-images: there is no such file"):
        read_idx(tmp_path / "train-images", tmp_path / "labels")


@pytest.mark.parametrize("mark", ["", '"'])
def test_an_interrupt_while_rows_are_parsed_is_no_fault_of_the_file(
    mark: str, digits: DigitTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(io.BytesIO):
        def interrupt(self) -> None:
            if self.tell() == 0:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)  # the signal arrives in this call

        def readline(self, size: int | None = -1) -> bytes:
            self.interrupt()
            return super().readline(size)

        def read(self, size: int | None = -1) -> bytes:  # pandas, which reads numbers in quotation marks, calls this
            self.interrupt()
            return super().read(size)

    header, *rows = csv_text(digits).splitlines()
    marked = [mark + row.replace(",", f"{mark},{mark}") + mark for row in rows]
    (tmp_path / "train.csv").write_text("\n".join([header, *marked]))
    monkeypatch.setattr(CsvFile, "_select_rows", lambda _, stream: Interrupted(stream.read()))
    with pytest.raises(KeyboardInterrupt):
        CsvFile(tmp_path / "train.csv").read(labels_required=True)


def test_an_archive_with_two_files_of_that_name_is_refused(digits: DigitTable, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        for name in ("old/train.csv", "new/train.csv"):
            archive.writestr(name, csv_text(digits.select(np.arange(3))))
    with pytest.raises(UserError, match=r"both\.zip: holds old/train\.csv and new/train\.csv; extract the right one"):
        CsvFile(tmp_path / "both.zip", "train.csv").read(labels_required=True)
