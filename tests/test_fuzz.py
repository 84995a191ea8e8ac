"""Readers and damaged files: each is read or refused in one short line, never with another error.

Each reader gets a few files in the suite. FUZZ_MINUTES, set by `make fuzz`, is the time for all of them together.
A file may take at most MAX_SECONDS of computing, and all of them at most MAX_KIB of memory beyond that of whole files.
"""

import os
import random
import resource
import shutil
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers.damage import damage
from helpers.formats import WRITERS
from helpers.limits import time_limit
from PIL import Image

from demo.run_views import figures, run_row
from pipeline import DigitTable, Predictor, Run, UserError
from pipeline.config.recipe import load_recipe
from pipeline.config.settings import RECIPES
from pipeline.data.formats import open_digits
from pipeline.export.transformers import require_replaceable
from pipeline.inference.corrections import read_corrections
from pipeline.kaggle.ledger import Ledger
from pipeline.kaggle.sending import format_table
from pipeline.kaggle.solution import check_solution, load_provenance
from pipeline.search.space import SPACES, SearchSpace

MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
FILES = 60
"""Greatest number of damaged files per reader in the suite."""
SECONDS = 1
"""Longest time per reader in the suite."""
MAX_SECONDS = 5
MAX_KIB = 1 << 20
MAX_MESSAGE_CHARACTERS = 1500
LEDGER = """\
time,token,file_hash,run,recipe,fingerprint,validation_accuracy,validation_rows,leaked,ref,status,public_score,message
2026-11-01T12:00:00Z,ab12,aa,checkpoints/a,fast,ff,0.99,100,0,901,COMPLETE,0.99,"fast, again"
2026-11-02T12:00:00Z,ab13,ab,checkpoints/a,fast,ff,0.99,100,0,,SENDING,,first
"""
CORRECTIONS = """\
time,drawing,frame,label,read,confidence,run
2026-11-01T12:00:00Z,f.png,f-1.png,3,5,0.9,sketchpad
2026-11-01T12:00:00Z,f.png,f-1.png,4,4,0.5,sketchpad
"""
PICTURE_KINDS = ["png", "jpeg", "gif", "bmp", "webp", "tiff"]

Reader = tuple[Path, Callable[[], object]]
"""A whole file, and a function that reads it."""


@pytest.fixture
def readers(run: Run, digits: DigitTable, tmp_path: Path) -> dict[str, Reader]:
    """The readers by name, each with its file in the test's folder."""
    folder = Path(shutil.copytree(run.folder, tmp_path / "run"))
    known, predictor = digits.select(np.arange(50)).fingerprint, Predictor.load(run)
    found: dict[str, Reader] = {
        "card": (folder / "card.json", lambda: (Run(folder).card.validation_in_words, run_row(Run(folder)))),
        "history": (folder / "history.csv", lambda: Run(folder).history),
        "run's recipe": (folder / "recipe.yaml", lambda: Predictor.load(folder)),
        "weights": (folder / "model.safetensors", lambda: Predictor.load(folder)),
        "fingerprint": (folder / "fingerprint.safetensors", lambda: Run(folder).fingerprint.count_duplicates(known)),
        "figure": (folder / "figures" / "history.png", lambda: figures(Run(folder))),
        "ledger": (tmp_path / "ledger.csv", lambda: format_table(Ledger(tmp_path / "ledger.csv").entries())),
        "corrections": (tmp_path / "corrections.csv", lambda: read_corrections(tmp_path)),
        "corrected digit": (tmp_path / "f-1.png", lambda: read_corrections(tmp_path)),
        "solution": (tmp_path / "solution.csv", lambda: check_solution(tmp_path / "solution.csv", 20)),
        "recipe": (tmp_path / "best.yaml", lambda: load_recipe(tmp_path / "best.yaml")),
        "fine-tuning": (tmp_path / "even-odd.yaml", lambda: load_recipe(tmp_path / "even-odd.yaml")),
        "space": (tmp_path / "fast.yaml", lambda: SearchSpace.load("fast", tmp_path / "fast.yaml", [])),
        "export": (tmp_path / "export" / "config.json", lambda: require_replaceable(tmp_path / "export")),
        "provenance": (tmp_path / "solution.json", lambda: load_provenance(tmp_path / "solution.csv")),
    }
    for name in ("best", "even-odd"):
        shutil.copy(RECIPES / f"{name}.yaml", tmp_path)
    shutil.copy(SPACES / "fast.yaml", tmp_path)
    (tmp_path / "ledger.csv").write_text(LEDGER)
    (tmp_path / "corrections.csv").write_text(CORRECTIONS)
    rows = "".join(f"{row},{row % 10}\n" for row in range(1, 21))
    (tmp_path / "solution.csv").write_text(f"ImageId,Label\n{rows}")
    (tmp_path / "solution.json").write_text("{}")
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "config.json").write_text('{"digit_recognizer": {}}')
    Image.fromarray(digits.pixels[0]).save(tmp_path / "f-1.png")
    (folder / "figures").mkdir(exist_ok=True)
    shutil.copy(tmp_path / "f-1.png", folder / "figures" / "history.png")
    for kind in PICTURE_KINDS:
        file = BytesIO()
        Image.fromarray(255 - np.pad(digits.pixels[0], 8)).save(file, kind)
        path = tmp_path / f"picture.{kind}"
        path.write_bytes(file.getvalue())
        found[kind] = path, lambda path=path: predictor.read(path)
    for kind, write in WRITERS.items():
        path = tmp_path / f"in {kind}" / "digits"
        path.parent.mkdir()
        write(path, digits.select(np.arange(20)))
        found[kind] = path, lambda path=path: _read_digits(path)
    return found


def _read_digits(path: Path) -> object:
    file = open_digits(path)
    return file.notes(), file.read(labels_required=False)


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.filterwarnings("ignore")
def test_every_damaged_file_is_read_or_refused_in_one_line(readers: dict[str, Reader]) -> None:
    for _, read in readers.values():
        read()
    peak = _peak_kib()
    for name, (path, read) in readers.items():
        whole = path.read_bytes()
        seconds = 60 * MINUTES / len(readers) or SECONDS
        chance, started, files, refused = random.Random(0), time.monotonic(), 0, 0
        while time.monotonic() - started < seconds and (MINUTES or files < FILES):
            files += 1
            content = damage(whole, chance)
            path.write_bytes(content)
            try:
                with time_limit(MAX_SECONDS):
                    read()
            except UserError as error:
                refused += 1
                message = str(error)
                assert "\n" not in message, (name, files, message)
                assert len(message) < MAX_MESSAGE_CHARACTERS, (name, files, message)
            except BaseException as error:
                error.add_note(f"{name}: damaged file {files}, which begins with {content[:200]!r}")
                raise
            assert _peak_kib() - peak < MAX_KIB, (name, files)
        path.write_bytes(whole)
        print(f"{name}: {files:,} damaged files, {refused:,} refused")
