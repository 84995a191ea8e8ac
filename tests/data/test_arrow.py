"""Data sets of Hugging Face `datasets` on disk, as `save_to_disk` writes them."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from helpers.commands import Outcome
from PIL import Image

from pipeline import DigitTable, UserError, find_source
from pipeline.data.formats import open_labelled


def save_split(folder: Path, table: DigitTable, side: int = 28, files: int = 2) -> None:
    """Write a Dataset as `save_to_disk` does: Arrow streams, and state.json, which lists them."""
    folder.mkdir(parents=True)
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema([("image", image), ("label", pyarrow.int64())])
    names = [f"data-{index:05}-of-{files:05}.arrow" for index in range(files)]
    for name, rows in zip(names, np.array_split(np.arange(len(table)), files), strict=True):
        content = []
        for pixels in table.pixels[rows]:
            buffer = io.BytesIO()
            Image.fromarray(pixels).resize((side, side)).convert("L" if side == 28 else "RGB").save(buffer, "PNG")
            content.append({"bytes": buffer.getvalue(), "path": None})
        with pyarrow.OSFile(str(folder / name), "wb") as sink, pyarrow.ipc.new_stream(sink, schema) as writer:
            arrays = [pyarrow.array(content, image), pyarrow.array(table.known_labels[rows])]
            writer.write_table(pyarrow.table(arrays, schema=schema), max_chunksize=7)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text("{}")


@pytest.fixture
def saved(digits: DigitTable, tmp_path: Path) -> Path:
    """Return a DatasetDict of 60 training and 20 test rows."""
    save_split(tmp_path / "mnist" / "train", digits.select(np.arange(60)))
    save_split(tmp_path / "mnist" / "test", digits.select(np.arange(60, 80)))
    (tmp_path / "mnist" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    return tmp_path / "mnist"


def test_a_saved_data_set_is_a_source_of_training_and_test_rows(saved: Path, digits: DigitTable) -> None:
    source = find_source(str(saved), saved.parent)
    train, test = source.read_train(), source.read_test()
    np.testing.assert_array_equal(train.pixels, digits.pixels[:60])
    np.testing.assert_array_equal(train.known_labels, digits.known_labels[:60])
    np.testing.assert_array_equal(test.pixels, digits.pixels[60:80])
    np.testing.assert_array_equal(open_labelled(saved).read(labels_required=True).pixels, digits.pixels[60:80])


def test_a_single_split_is_training_rows(saved: Path, digits: DigitTable) -> None:
    source = find_source(str(saved / "train"), saved.parent)
    np.testing.assert_array_equal(source.read_train().pixels, digits.pixels[:60])
    with pytest.raises(UserError, match="train: is one split, taken as training digits; save a DatasetDict"):
        source.read_test()
    assert len(open_labelled(saved / "train").read(labels_required=True)) == 60


def test_pictures_of_other_sizes_and_colours_are_framed(digits: DigitTable, tmp_path: Path) -> None:
    save_split(tmp_path / "large", digits.select(np.arange(10)), side=64)
    table = find_source(str(tmp_path / "large"), tmp_path).read_train()
    assert table.pixels.shape == (10, 28, 28)
    np.testing.assert_array_equal(table.known_labels, digits.known_labels[:10])


def test_even_odd_is_trained_on_a_saved_data_set(
    command: Callable[..., Outcome], saved: Path, tiny: Path, tmp_path: Path
) -> None:
    settings = ("image_size=32", "epochs=1", "precision=float32", f"pretrained={tiny}")
    options = [word for setting in settings for word in ("--set", setting)]
    ended = command("train", "even-odd", "--source", saved, "--run", "mine", *options)
    assert ended.status == 0, ended.err
    assert "54 training rows, 6 validation rows" in ended.out
    assert "On the test set: " in ended.out


def test_a_damaged_data_set_is_named_in_one_line(saved: Path) -> None:
    (saved / "train" / "data-00001-of-00002.arrow").write_bytes(b"no arrow file")
    with pytest.raises(UserError, match=r"data-00001-of-00002\.arrow: cannot be read as Arrow \(") as refusal:
        find_source(str(saved), saved.parent).read_train()
    assert "\n" not in str(refusal.value)
    (saved / "train" / "state.json").write_text("{}")
    with pytest.raises(UserError, match=r"state\.json: is not the state of a data set \(KeyError"):
        find_source(str(saved), saved.parent).read_train()
    (saved / "train" / "state.json").unlink()
    with pytest.raises(UserError, match=r"mnist: the data set has no split train \(it has test\); rename one"):
        find_source(str(saved), saved.parent)
