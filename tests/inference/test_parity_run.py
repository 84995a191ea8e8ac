"""What a run of parity answers: predictions, readings, reports, the page, the commands, and Transformers itself."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import Outcome
from helpers.drawing import Drawing
from helpers.files import csv_text
from matplotlib.figure import Figure

from demo import views
from pipeline import DigitTable, Predictor, Run, Source, UserError, evaluate
from pipeline.models.parity import ParityNetwork
from pipeline.reports.compare import compare, format_comparison
from pipeline.reports.figures import plot_comparison

TRANSFORMERS_ONLY_PROGRAM = """
import sys
import numpy as np, torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

folder, pixels = sys.argv[1], np.load("pixels.npy")
pictures = [Image.fromarray(image) for image in pixels]
model = AutoModelForImageClassification.from_pretrained(folder).eval()
with torch.inference_mode():
    logits = model(**AutoImageProcessor.from_pretrained(folder)(pictures, return_tensors="pt")).logits
np.save("logits.npy", logits.numpy())
assert not any(name.split(".")[0] == "pipeline" for name in sys.modules)
print(pipeline("image-classification", model=folder)(pictures[0])[0]["label"])
"""


@pytest.fixture
def copy(parity_run: Run, tmp_path: Path) -> Run:
    """Return a copy of the finished run, which tests may damage."""
    return Run(Path(shutil.copytree(parity_run.folder, tmp_path / "copy")))


def test_transformers_loads_the_run_without_this_project_and_matches_predictor(
    parity_run: Run, digits: DigitTable, tmp_path: Path
) -> None:
    pixels = digits.pixels[:100]
    np.save(tmp_path / "pixels.npy", pixels)
    folder = parity_run.folder / "transformers"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-I", "-c", TRANSFORMERS_ONLY_PROGRAM, str(folder)]
    outcome = subprocess.run(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    logits = torch.from_numpy(np.load(tmp_path / "logits.npy"))
    assert np.abs(ParityNetwork.load(folder).logits(pixels) - logits.numpy()).max() < 1e-5
    predictions = Predictor.load(parity_run.folder).predict(pixels)
    assert np.allclose(predictions.probabilities, logits.softmax(1).numpy(), atol=1e-6)
    assert outcome.stdout.strip() == predictions.parity[0]


def test_parity_predictions_have_no_digits(parity_run: Run, practice: Source) -> None:
    test = practice.read_test()
    predictions = Predictor.load(parity_run.folder).predict(test.pixels)
    assert predictions.probabilities.shape == (500, 2)
    assert predictions.digits is None
    with pytest.raises(UserError, match="predicts parity only, not digits"):
        _ = predictions.known_digits
    assert predictions.p_odd == pytest.approx(predictions.probabilities[:, 1])
    assert (np.array(predictions.parity) == np.where(predictions.p_odd > 0.5, "odd", "even")).all()
    assert predictions.confidence.min() >= 0.5
    assert (predictions.is_digit == (predictions.confidence >= 0.7)).all()
    found = predictions.score(test.known_labels)
    assert found.accuracy == found.parity.accuracy > 0.8
    assert found.confusion.shape == (2, 2)
    empty = Predictor.load(parity_run.folder).predict(np.empty((0, 28, 28), np.uint8))
    assert (len(empty), empty.digits, empty.parity) == (0, None, [])


def test_a_reading_of_parity_has_a_parity_and_no_text(parity_run: Run) -> None:
    predictor = Predictor.load(parity_run.folder)
    reading = predictor.read(Drawing("2025").page())
    assert len(reading.glyphs) == 4
    assert (reading.text, reading.parity) == (None, reading.predictions.parity[-1])
    assert reading.confidence == reading.predictions.confidence[-1]
    blank = predictor.read(np.full((100, 100), 255, np.uint8))
    assert (blank.text, blank.parity, blank.confidence) == ("", None, None)


def test_the_page_shows_parity_and_unknown_digits(parity_run: Run) -> None:
    reading = Predictor.load(parity_run.folder).read(Drawing("7").page())
    is_digit = bool(reading.predictions.is_digit[-1])
    number = views.number(reading)
    assert (f">{reading.parity}</p>" in number) is is_digit
    assert ("digits unknown" in number) is is_digit
    cards = views.cards(reading, "parity")
    assert cards.count('title="even: ') == cards.count('title="odd: ') == 1
    answer = views.as_json(reading)
    assert (answer["text"], answer["glyphs"][0]["digit"]) == (None, None)
    assert len(answer["glyphs"][0]["probabilities"]) == 2


def test_an_evaluation_leaves_a_report_of_two_classes_and_every_figure(
    copy: Run, practice: Source, tmp_path: Path
) -> None:
    result = evaluate(copy, practice.read_test(), "mnist")
    report = (copy.folder / "report.txt").read_text()
    for word in ("accuracy  ", "F1  ", "precision  ", "recall  ", "loss  ", " even  ", "  odd  "):
        assert word in report
    assert "of 500 right" in report
    assert copy.card.scores["mnist_parity_accuracy"] == result.accuracy
    assert "mnist_accuracy" not in copy.card.scores
    assert len(list((copy.folder / "figures").glob("*.png"))) == 7


def test_a_parity_run_and_a_digit_run_are_compared(
    parity_run: Run, run: Run, digits: DigitTable, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text(csv_text(digits.select(np.arange(60))))
    compared = compare([run.folder, parity_run.folder], str(tmp_path / "mine.csv"), tmp_path)
    header, digit_line, parity_line = format_comparison(compared).splitlines()
    assert len(header) == len(digit_line) == len(parity_line)
    low, high = compared[1].score.parity.interval
    assert parity_line.split()[1:7] == [
        "-",
        "-",
        f"{compared[1].score.accuracy:.2%}",
        f"{low:.2%}",
        "to",
        f"{high:.2%}",
    ]
    assert f"{compared[0].score.parity.accuracy:.2%}" in digit_line
    figure = Figure()
    plot_comparison(figure, {each.run.folder.name: each.score for each in compared})
    (axes,) = figure.axes
    accuracies, parities = (axes.get_legend_handles_labels()[0][place].get_xdata() for place in (0, 1))
    assert np.isnan(accuracies).tolist() == [False, True]
    assert parities == pytest.approx([each.score.parity.accuracy for each in compared])


def test_commands_for_digits_reject_a_parity_run_in_one_line(
    command: Callable[..., Outcome], parity_run: Run, digits: DigitTable, tmp_path: Path
) -> None:
    (tmp_path / "digits.csv").write_text(csv_text(digits.select(np.arange(5))))
    for arguments in (
        ("submit", "--recipe", "even-odd", "--source", "practice"),
        ("submit", "--run", parity_run.folder, "--source", "practice"),
        ("predict", parity_run.folder, "digits.csv", "--out", "answers.csv"),
        ("export", parity_run.folder, "--to", "onnx", "--out", "model.onnx"),
    ):
        outcome = command(*arguments)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1)
        assert "predicts parity only, not digits" in outcome.err or "--to transformers" in outcome.err
        assert "Data: " not in outcome.out
    assert {path.name for path in tmp_path.iterdir()} <= {"digits.csv", "submissions"}


def test_read_prints_the_parity(command: Callable[..., Outcome], parity_run: Run, tmp_path: Path) -> None:
    Drawing("3").page().save(tmp_path / "three.png")
    outcome = command("read", parity_run.folder, "three.png")
    assert outcome.status == 0
    assert outcome.out.startswith("three.png: digits unknown, ")
    assert outcome.out.endswith(" % confidence\n")


def test_a_truncated_run_or_another_number_of_classes_is_rejected(copy: Run, tiny: Path) -> None:
    copy.save_card(copy.card.model_copy(update={"checksums": {}}))
    os.truncate(copy.folder / "transformers" / "model.safetensors", 5000)
    with pytest.raises(UserError, match="transformers: Transformers cannot load the model"):
        Predictor.load(copy.folder)
    shutil.rmtree(copy.folder / "transformers")
    shutil.copytree(tiny, copy.folder / "transformers")
    with pytest.raises(UserError, match="transformers: the model has 5 classes, expected 2; copy the run again"):
        Predictor.load(copy.folder)
