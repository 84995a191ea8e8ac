"""Pen drawings: UCI's archive, the JSON format, and the brush."""

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline import UserError, find_source
from pipeline.sources.drawings.pendigits import HELD_OUT_DRAWINGS, load_drawings
from pipeline.sources.drawings.strokes import Drawing, read_drawings, render_strokes

UNIPEN = """.VERSION 1.0
.COORD X Y T
.SEGMENT DIGIT 0-1 ? "7"
.COMMENT 7 12 0
.PEN_DOWN
 10 40
 30 40
 20 10
.PEN_UP
.DT 100
.PEN_DOWN
 15 25
 25 25
.PEN_UP
.SEGMENT DIGIT 2-3 ? "1"
.PEN_DOWN
 5 9
 5 1
.PEN_UP
"""


def compress(text: str) -> bytes:
    """Return a text in the format of Unix's `compress`, with one 9-bit code per character."""
    bits = sum(byte << (9 * index) for index, byte in enumerate(text.encode()))
    return b"\x1f\x9d\x89" + bits.to_bytes(-(-9 * len(text) // 8), "little")


def write_uci_archive(path: Path, text: str = UNIPEN) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pendigits-orig.tra.Z", compress(text))
    return path


def seven() -> Drawing:
    return Drawing(7, (np.array([[0.0, 0.0], [6.0, 0.0], [3.0, 10.0]]),))


def test_ucis_archive_is_read_with_y_pointing_down(tmp_path: Path) -> None:
    read = read_drawings(write_uci_archive(tmp_path / "pendigits.zip"))
    assert [drawing.label for drawing in read] == [7, 1]
    assert [len(stroke) for stroke in read[0].strokes] == [3, 2]
    assert read[0].strokes[0].tolist() == [[10, -40], [30, -40], [20, -10]]


def test_the_json_format_gives_the_same_drawings(tmp_path: Path) -> None:
    path = tmp_path / "pendigits.json.gz"
    path.write_bytes(gzip.compress(json.dumps([{"label": 1, "strokes": [[[5, -9], [5, -1]]]}]).encode()))
    (from_json,), (_, from_uci) = read_drawings(path), read_drawings(write_uci_archive(tmp_path / "pendigits.zip"))
    assert from_json.label == from_uci.label
    assert np.array_equal(from_json.strokes[0], from_uci.strokes[0])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pendigits.zip", b"<html>not found</html>"),
        ("pendigits.zip", b""),
        ("pendigits.json.gz", gzip.compress(b'[{"label": 11, "strokes": [[[0, 0]]]}]', mtime=0)),
        ("pendigits.json.gz", gzip.compress(b"[]", mtime=0)),
        ("pendigits.json.gz", gzip.compress(b'[{"label": 1}]', mtime=0)[:-9]),
    ],
)
def test_a_damaged_archive_is_named_with_a_remedy(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}: .*delete it and download it again"):
        read_drawings(tmp_path / name)


def test_a_failed_download_is_reported_with_its_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"save https://archive\.ics\.uci\.edu/\S+ as \S+pendigits\.zip"):
        find_source("pendigits", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_placed_drawing_keeps_its_aspect_ratio() -> None:
    strokes, extent = seven().placed(100)
    assert extent.tolist() == [60, 100]
    assert np.concatenate(strokes).min(axis=0).tolist() == [0, 0]


def test_a_brush_has_the_given_diameter() -> None:
    line = render_strokes([np.array([[10.0, 20.0], [90.0, 20.0]])], (100, 40), 8)
    assert (np.asarray(line)[:, 50] > 127).sum() == 8


def test_the_last_drawings_are_held_out(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "pendigits.json.gz").symlink_to(shared_data / "pendigits_train_strokes.json.gz")
    training, held_out = load_drawings(tmp_path)
    assert (len(training), len(held_out)) == (5_994, HELD_OUT_DRAWINGS)
    everything = read_drawings(tmp_path / "pendigits.json.gz")
    assert np.array_equal(held_out[-1].strokes[0], everything[-1].strokes[0])
