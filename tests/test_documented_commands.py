"""The commands and programs on the pages, run as they are printed on small data, each page in a folder of its own.

A page starts with the run that ships with the project and with data, but without any other run. What cannot run here is
in `NOT_RUN`, with the reason.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import torch
from helpers.commands import Outcome
from helpers.files import csv_text, encode_idx
from helpers.paths import PROJECT
from PIL import Image
from pyarrow import parquet
from typer.main import get_command

from pipeline import DigitTable, Recipe
from pipeline.cli.app import app
from pipeline.config.recipe import load_recipe
from pipeline.models import build
from pipeline.sources.mnist import MNIST_FILES

PAGES = ["README.md", "checkpoints/README.md", *(f"docs/{path.name}" for path in sorted(PROJECT.glob("docs/*.md")))]
NOT_RUN = {
    r"make (demo|share|test|check|bench|setup|space)\b": "starts the page, tests, measurements or pip",
    r".*-m pipeline kaggle submit": "sends to Kaggle; tests/kaggle does it with a server of its own",
    r".*--engine ray|ray ": "starts a cluster; tests/inference/test_cluster.py does it",
    r".*--to (transformers|onnx)": "takes long; tests/export/test_export.py does it",
    r".*--to hub": "uploads to the Hub; tests/export/test_hub.py does it with a server of its own",
    r"accelerate launch": "needs GPUs; tests/training/test_distributed.py checks that it is refused without",
    r"\S*PYTHONPATH=\S+ python (benchmarks/|- )": "measures for minutes",
    r"(GRADIO_ROOT_PATH=\S+ )?python -m demo": "serves the page; tests/demo does it",
    r"(.*-m )?pip install|digit-recognizer ": "installs packages, or needs an installed one",
    r"(docker|gcloud|git|hf|cd space|ssh|curl|path=|export )": "needs another program, a network or a server",
}
"""Commands that are not run, by the beginning of their lines, with the reason."""
PROGRAMS_NOT_RUN = {
    "gradio_client": "needs the page; tests/demo/test_routes.py does it",
    "onnxruntime": "needs the file of an export; tests/export/test_export.py does it",
    "trust_remote_code": "writes to the user's cache; tests/export/test_export.py does it in a process of its own",
}
"""Python programs that are not run, by a word in them, with the reason."""
PLACEHOLDERS = {"RECIPE": "fast", "RUN": "sketchpad", "INPUT...": "data/test.csv"}
SMALL = {
    "epochs": "1", "minimum_updates": "0", "members": "1", "pen_drawings": "0", "skeletons": "0", "stretched": "0",
    "outliers": "0", "line_updates": "0",
}  # fmt: skip
SMALL_PARITY = {"pretrained": "null", "image_size": "16", "epochs": "1", "eval_steps": "5", "save_steps": "5"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its text, and the number of the line on which it begins."""

    language: str
    text: str
    line: int

    @property
    def commands(self) -> list[str]:
        """The command lines of a block without a language, complete; output below a "$ " is left out."""
        lines = self.text.partition("<<'END'\n")[0].replace("\\\n", " ").splitlines()
        typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")] or lines
        return [line for line in typed if line.strip() and not line.startswith(" ")]


def blocks(page: str) -> list[Block]:
    text = (PROJECT / page).read_text(encoding="utf-8")
    found = re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Block(match[1], match[2], text[: match.start()].count("\n") + 1) for match in found]


def reason_not_to_run(line: str) -> str | None:
    return next((reason for beginning, reason in NOT_RUN.items() if re.match(beginning, line)), None)


@pytest.fixture
def folder(tmp_path: Path, digits: DigitTable, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Change to a folder with small data in every place that a page names, and with the shipped run."""
    monkeypatch.chdir(tmp_path)
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in MNIST_FILES:
        part = digits.select(np.arange(120) if "train" in name else np.arange(200, 240))
        array = part.pixels if "images" in name else part.known_labels.astype(np.uint8)
        (raw / name).write_bytes(encode_idx(array))
    (tmp_path / "data" / "train.csv").write_text(csv_text(digits.select(np.arange(300, 420))))
    test = csv_text(DigitTable(digits.pixels[500:540]))
    for path in ("data/test.csv", "scans/2026-1.csv", "archive/old.csv"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(test)
    write_parquet(tmp_path / "more.parquet", digits.pixels[540:550])
    photo = Image.fromarray(np.hstack([255 - image for image in digits.pixels[:3]])).resize((504, 168))
    photo.save(tmp_path / "photo.jpg")
    Image.fromarray(np.asarray(digits.pixels[0])).save(tmp_path / "digit.png")
    torch.save(build(Recipe.load("light-cnn")).state_dict(), tmp_path / "mnist_cnn.pt")
    shutil.copytree(
        PROJECT / "checkpoints" / "sketchpad",
        tmp_path / "checkpoints" / "sketchpad",
        ignore=shutil.ignore_patterns("evaluation"),
    )
    for module in ("evaluate", "mistakes", "style"):  # figures and pages have tests of their own
        monkeypatch.setattr(f"pipeline.reports.{module}.save_figure", lambda *_: None)
    monkeypatch.setattr("pipeline.reports.mistakes.write_page", lambda run, *_, **__: run.report_folder / "page.html")
    monkeypatch.setattr("pipeline.search.sweep.sweep", save_best)
    yield tmp_path


def write_parquet(path: Path, pixels: np.ndarray) -> None:
    parquet.write_table(pyarrow.table({"pixels": [image.tobytes() for image in pixels]}), path)


def save_best(recipe: Recipe, *_: object, **__: object) -> None:
    """Leave the recipe that a search leaves, without the search, which tests/search runs."""
    path = Path("sweeps") / recipe.name / "best.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    recipe.save(path)


def words_of(line: str, block: int) -> list[str]:
    """Return the words after `pipeline` in a command line, with values for the words in capitals."""
    words = shlex.split(line, comments=True)
    words = [PLACEHOLDERS.get(word, word) for word in words[words.index("pipeline") + 1 :]]
    words = [re.sub(r"\bS\b", "0", re.sub(r"^(NAME|FOLDER|FILE)\b", rf"\1-{block}", word)) for word in words]
    return words + shrink(words)


def shrink(words: list[str]) -> list[str]:
    """Return options that make a command quick; they override those before them."""
    if words[0] == "train":
        recipe = load_recipe(words[1])
        small = SMALL if isinstance(recipe, Recipe) else SMALL_PARITY
        return ["--limit", "60", *(word for item in small.items() for word in ("--set", "=".join(item)))]
    if words[0] == "submit" and "--run" not in words:
        return [word for item in SMALL.items() for word in ("--set", "=".join(item))]
    return []


def made(line: str) -> list[str]:
    """Return the commands of this project that a `make` line runs."""
    dry = ["make", "--dry-run", "--no-print-directory", *shlex.split(line, comments=True)[1:]]
    shown = subprocess.run(dry, cwd=PROJECT, capture_output=True, text=True, check=True)
    return [each for each in shown.stdout.splitlines() if " -m pipeline " in each]


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_on_a_page_run_as_printed(page: str, folder: Path, command: Callable[..., Outcome]) -> None:
    namespace: dict[str, Any] = {}
    for number, block in enumerate(blocks(page)):
        if block.language == "python" and not any(word in block.text for word in PROGRAMS_NOT_RUN):
            run_program(block, number, namespace)
        is_synopsis = "[--" in block.text
        for line in [] if block.language or is_synopsis else block.commands:
            if reason_not_to_run(line):
                continue
            for each in made(line) if line.startswith("make ") else [line]:
                if not reason_not_to_run(each):
                    outcome = command(*words_of(each, number))
                    assert outcome.status == 0, f"{page}, line {block.line}: {each}\n{outcome.err}"


def run_program(block: Block, number: int, namespace: dict[str, Any]) -> None:
    """Run a Python program of a page, after those before it, with the pictures that it takes as given."""
    given = np.asarray(Image.open("digit.png"))
    namespace |= {"image": given, "pixels": given[np.newaxis]}
    text = re.sub(r'"(FOLDER|FILE)\b', rf'"\1-{number - 1}', block.text)
    exec(compile("\n" * block.line + text, "the page", "exec"), namespace)


@pytest.mark.parametrize("page", PAGES)
def test_a_synopsis_names_options_that_exist(page: str) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for block in blocks(page):
        lines = block.text.splitlines() if "[--" in block.text and not block.language else []
        verb = ""
        for line in lines:
            verb = line.split()[3] if line.startswith("python ") else verb
            kinds = getattr(commands[verb], "commands", {verb: commands[verb]})
            known = {option for kind in kinds.values() for parameter in kind.params for option in parameter.opts}
            assert set(re.findall(r"--[a-z-]+", line)) <= known, line


def test_every_reason_not_to_run_a_command_applies_to_one() -> None:
    lines = [line for page in PAGES for block in blocks(page) if not block.language for line in block.commands]
    lines += [each for line in lines if line.startswith("make kaggle") for each in made(line)]
    for beginning in NOT_RUN:
        assert any(re.match(beginning, line) for line in lines), beginning
    programs = "".join(block.text for page in PAGES for block in blocks(page) if block.language == "python")
    for word in PROGRAMS_NOT_RUN:
        assert word in programs, word


def test_scripts_that_measure_exist() -> None:
    lines = [line for page in PAGES for block in blocks(page) for line in block.commands]
    scripts = {name for line in lines for name in re.findall(r"python (benchmarks/\S+)", line)}
    assert len(scripts) >= 3
    for name in scripts:
        assert (PROJECT / name).is_file(), name


def test_the_readmes_program_runs_outside_the_project(folder: Path) -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    (program,) = (block.text for block in blocks("README.md") if block.language == "python")
    assert "PYTHONPATH" in readme
    elsewhere = program.replace('"sketchpad"', f'"{PROJECT}/checkpoints/sketchpad"')
    subprocess.run(
        [sys.executable, "-c", f"{elsewhere}\nassert reading.text"],
        cwd=folder,
        env={"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        check=True,
    )
