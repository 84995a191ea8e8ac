import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.commands import Outcome
from helpers.drawing import Drawing
from helpers.files import csv_text
from helpers.paths import PROJECT
from helpers.recipes import SMALL_FINE_TUNING
from helpers.waiting import free_port
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from demo import views
from pipeline import DigitTable, Predictor, Recipe, Run, Source, UserError, evaluate
from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import load_recipe
from pipeline.models.parity import ParityNetwork
from pipeline.reports.compare import compare, format_comparison
from pipeline.reports.evaluate import validation_rows
from pipeline.reports.figures import plot_comparison
from pipeline.training.fine_tune import HistoryCallback, ParityDataset, fine_tune

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


def test_even_odd_has_the_original_projects_settings() -> None:
    recipe = load_recipe("even-odd")
    assert isinstance(recipe, FineTuning)
    assert (recipe.dataset, recipe.validation_fraction, recipe.seed) == ("mnist", 0.1, 42)
    assert (recipe.pretrained, recipe.labels, recipe.image_size) == ("microsoft/resnet-18", ("even", "odd"), 224)
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.weight_decay) == (3, 32, 2e-5, 0.01)
    assert (recipe.eval_strategy, recipe.eval_steps, recipe.save_strategy, recipe.save_steps) == (
        *("steps", 500),
        *("steps", 500),
    )
    assert recipe.save_total_limit == 2


def test_a_saved_recipe_loads_unchanged(tmp_path: Path) -> None:
    recipe = load_recipe("even-odd", ["pretrained=null", "labels=[gerade, ungerade]"])
    recipe.save(tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe


def test_a_parity_recipe_is_rejected_if_digits_are_needed() -> None:
    with pytest.raises(UserError, match="even-odd: predicts parity only, not digits; use one that predicts digits"):
        Recipe.load("even-odd")


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("epoch=3", 'unknown key "epoch"; did you mean "epochs"?'),
        ("learning_rate=0", "learning_rate: 0 is not valid"),
        ("validation_fraction=0", "validation_fraction: 0 is not valid"),
        ("trainer=transformer", "trainer: 'transformer' is not valid"),
        ("save_strategy=epoch", "only an evaluated checkpoint can be the best; set it to the value of eval_strategy"),
        ("save_steps=750", "only an evaluated checkpoint can be the best; set a multiple of 500"),
        ("labels=[odd, odd]", "the two names must differ"),
        ("labels=[odd]", "labels: ['odd'] is not valid"),
        ("save_dir=figures", "the run uses that folder for other files"),
        ("save_dir=checkpoints", "the run uses that folder for other files"),
        ("output_dir=../elsewhere", "output_dir: '../elsewhere' is not valid"),
    ],
)
def test_an_invalid_setting_is_rejected_with_its_reason(override: str, fault: str) -> None:
    with pytest.raises(UserError) as refusal:
        load_recipe("even-odd", [override])
    assert str(refusal.value).startswith(f"--set {override}: ")
    assert fault in str(refusal.value)


def test_invalid_yaml_is_reported_with_its_file_and_line(command: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "training.yaml").write_text("name: mine\ntrainer: transformers\n  epochs: 3\nbatch_size: 32\n")
    outcome = command("train", "training.yaml")
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith("error: training.yaml, line 3, column 9: not valid YAML (")
    assert outcome.err.endswith("correct that line\n")


def test_fine_tuning_writes_a_complete_run(parity_run: Run) -> None:
    names = {path.name for path in parity_run.folder.iterdir()}
    assert names == {
        *("card.json", "fingerprint.safetensors", "history.csv", "recipe.yaml", "training.log"),
        *("checkpoints", "tensorboard", "transformers"),
    }
    card, history = parity_run.card, parity_run.history
    assert (card.recipe, card.source, card.seed, card.finished) == ("even-odd", "practice", 42, True)
    assert (card.train_rows, card.validation_rows) == (1167, 130)
    assert [epoch.epoch for epoch in history] == pytest.approx([20 / 37, 40 / 37, 60 / 37, 2], abs=1e-3)
    assert len({epoch.train_loss for epoch in history}) == 4
    header = parity_run.history_path.read_text().splitlines()[0].split(",")
    assert header[-3:] == ["validation_precision", "validation_recall", "validation_f1"]
    events = EventAccumulator(str(parity_run.folder / "tensorboard")).Reload()
    assert [event.value for event in events.Scalars("F1/validation")] == pytest.approx(
        [epoch.validation_f1 for epoch in history]
    )
    best = max(epoch.validation_accuracy or 0 for epoch in history)
    assert [epoch for epoch in history if epoch.saved][-1].validation_accuracy == best
    assert card.scores["validation_parity_accuracy"] == best > 0.8
    assert card.validation_in_words.startswith("parity ")
    assert len(list((parity_run.folder / "checkpoints").iterdir())) == 2
    assert list((parity_run.folder / "tensorboard").glob("events.out.tfevents.*"))
    assert "2/2" in (parity_run.folder / "training.log").read_text()


@pytest.mark.parametrize("setting", ["resnet", "[resnet.embedder, resnet.encoder.stages.0]"])
def test_frozen_layers_keep_their_weights(setting: str, tiny: Path, practice: Source, tmp_path: Path) -> None:
    settings = [*SMALL_FINE_TUNING, f"pretrained={tiny}", "epochs=1", f"freeze={setting}"]
    recipe = load_recipe("even-odd", settings)
    assert isinstance(recipe, FineTuning)
    torch.manual_seed(recipe.seed)
    before = dict(ParityNetwork.from_recipe(recipe).model.named_parameters())
    run = fine_tune(recipe, practice, str(tmp_path / "frozen"), limit=100, quiet=True)
    after = dict(ParityNetwork.load(run.folder / "transformers").model.named_parameters())
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert kept == {name for name in before if name.startswith(recipe.freeze)}
    assert load_recipe(run.recipe_path) == recipe


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "resnt",
            r'freeze: the model has no layer "resnt"; did you mean "resnet"\?; give names such as resnet, classi',
        ),
        ("[resnet, classifier]", "freeze: resnet, classifier leaves nothing to train; freeze fewer layers"),
    ],
)
def test_layers_that_cannot_be_frozen_are_named(
    setting: str, message: str, tiny: Path, practice: Source, tmp_path: Path
) -> None:
    recipe = load_recipe("even-odd", [*SMALL_FINE_TUNING, f"pretrained={tiny}", f"freeze={setting}"])
    assert isinstance(recipe, FineTuning)
    with pytest.raises(UserError, match=message):
        fine_tune(recipe, practice, str(tmp_path / "frozen"), quiet=True)
    assert not (tmp_path / "frozen").exists()


def test_small_images_train_to_the_same_weights_whatever_the_memory_held_before(
    practice: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ["pretrained=null", "image_size=16", "epochs=1", "learning_rate=1e-3", "precision=bfloat16"]
    recipe = load_recipe("even-odd", settings)
    assert isinstance(recipe, FineTuning)
    weights = []
    for content in (0.0, float("nan"), 1e4):

        def fill(*_: object, content: float = content, **__: object) -> None:
            blocks = [torch.full((size,), content) for size in 100 * [2**5, 2**10, 2**16] + 20 * [2**18, 2**20]]
            del blocks

        monkeypatch.setattr(HistoryCallback, "on_step_begin", fill)
        run = fine_tune(recipe, practice, str(tmp_path / str(content)), limit=60, quiet=True)
        weights.append(ParityNetwork.load(run.folder / "transformers").model.state_dict())
    for other in weights[1:]:
        torch.testing.assert_close(other, weights[0], rtol=0, atol=0)


def test_a_diverged_fine_tuning_names_the_remedy(practice: Source, tmp_path: Path) -> None:
    recipe = load_recipe("even-odd", [*SMALL_FINE_TUNING, "pretrained=null", "learning_rate=1e30"])
    assert isinstance(recipe, FineTuning)
    with pytest.raises(UserError, match=r"training diverged in epoch 2 \(loss .* and nan\); lower learning_rate"):
        fine_tune(recipe, practice, str(tmp_path / "wild"), limit=300, quiet=True)


def test_the_saved_model_is_the_best_checkpoint(parity_run: Run, practice: Source) -> None:
    rows = validation_rows(parity_run, practice)
    found = Predictor.load(parity_run.folder).predict(rows.pixels).score(rows.known_labels)
    # Trainer evaluates in bfloat16 on CPUs that support it, which may change the prediction for a row.
    assert found.accuracy == pytest.approx(parity_run.card.scores["validation_parity_accuracy"], abs=1.5 / 130)
    best = [epoch for epoch in parity_run.history if epoch.saved][-1]
    assert best.validation_precision == pytest.approx(found.precision.mean(), abs=3 / 130)
    assert best.validation_recall == pytest.approx(found.recall.mean(), abs=3 / 130)
    assert best.validation_f1 == pytest.approx(found.f1.mean(), abs=3 / 130)


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


def test_train_reports_on_the_test_part_and_limits_its_rows(
    command: Callable[..., Outcome], tiny: Path, tmp_path: Path
) -> None:
    settings = [
        part for setting in (*SMALL_FINE_TUNING, "epochs=1", f"pretrained={tiny}") for part in ("--set", setting)
    ]
    outcome = command("train", "even-odd", "--source", "practice", "--run", "mine", "--limit", "200", *settings)
    assert (outcome.status, outcome.err) == (0, "")
    run = Run(tmp_path / "checkpoints" / "mine")
    assert (run.card.train_rows, run.card.validation_rows) == (200, 40)
    assert (run.folder / "report.txt").read_text().startswith("checkpoints/mine on practice: 500 rows\naccuracy")
    assert "On the test set: " in outcome.out
    assert f"{run.card.validation_rows} right)" in outcome.out
    exported = command("export", "mine", "--to", "transformers", "--out", "hub")
    assert exported.status == 0
    assert "one handwritten digit as odd or even" in (tmp_path / "hub" / "README.md").read_text()


class InterruptCallback(HistoryCallback):
    """Simulate Ctrl-C after `after` updates."""

    after = 30

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        if state.global_step == self.after:
            raise KeyboardInterrupt
        return super().on_step_end(args, state, control)


def test_an_interrupted_run_resumes_from_its_last_complete_checkpoint_to_identical_weights(
    parity_run: Run,
    practice: Source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    recipe, folder = parity_run.recipe, tmp_path / "run"
    assert isinstance(recipe, FineTuning)
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.training.fine_tune.HistoryCallback", InterruptCallback)
        with pytest.raises(KeyboardInterrupt):
            fine_tune(recipe, practice, str(folder), quiet=True)
    assert f"the last checkpoint is {folder}/checkpoints/checkpoint-20" in caplog.text
    assert f"train {folder}/recipe.yaml --run {folder} --resume" in caplog.text
    with pytest.raises(UserError, match="its training was stopped before it had saved a model; resume it: "):
        Predictor.load(folder)
    shutil.copytree(folder / "checkpoints" / "checkpoint-20", folder / "checkpoints" / "checkpoint-30")
    (folder / "checkpoints" / "checkpoint-30" / "trainer_state.json").unlink()  # as after a kill
    with pytest.raises(UserError, match="was started on other data"):
        fine_tune(recipe, practice, str(folder), limit=100, resume=True, quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.models.parity.ParityNetwork.from_recipe", None)  # must not be called again
        run = fine_tune(recipe, practice, str(folder), resume=True, quiet=True)
    assert [epoch.epoch for epoch in run.history] == [epoch.epoch for epoch in parity_run.history]
    found, expected = (
        ParityNetwork.load(each.folder / "transformers").model.state_dict() for each in (run, parity_run)
    )
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_batches_match_the_image_processors_output_for_pictures(tiny: Path, digits: DigitTable) -> None:
    network = ParityNetwork.from_recipe(load_recipe("even-odd", [f"pretrained={tiny}", "image_size=48"]))  # type: ignore[arg-type]
    dataset = ParityDataset(digits, network)
    batch = dataset.__getitems__([5, 0, 700])
    pictures = [Image.fromarray(digits.pixels[row]) for row in (5, 0, 700)]
    expected = network.processor(images=pictures, return_tensors="pt")["pixel_values"]
    assert batch["pixel_values"].shape == (3, 3, 48, 48)
    assert torch.equal(batch["pixel_values"], expected)
    assert batch["labels"].tolist() == (digits.known_labels[[5, 0, 700]] % 2).tolist()


def test_the_head_of_a_pretrained_model_is_replaced_and_the_backbone_is_kept(tiny: Path) -> None:
    from transformers import AutoModelForImageClassification

    original = AutoModelForImageClassification.from_pretrained(tiny)
    assert original.config.num_labels == 5
    network = ParityNetwork.from_recipe(load_recipe("even-odd", [f"pretrained={tiny}", "image_size=32"]))  # type: ignore[arg-type]
    assert network.model.config.id2label == {0: "even", 1: "odd"}
    kept = network.model.state_dict()
    assert kept["classifier.1.weight"].shape == (2, 16)
    backbone = [name for name in kept if name.startswith("resnet.")]
    assert all(torch.equal(kept[name], original.state_dict()[name]) for name in backbone)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (shutil.rmtree, "no such folder; give one that contains config.json"),
        (lambda folder: (folder / "config.json").unlink(), "Transformers cannot load the model"),
        (lambda folder: (folder / "config.json").write_text("{"), "Transformers cannot load the model"),
        (lambda folder: (folder / "model.safetensors").unlink(), "Transformers cannot load the model"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "Transformers cannot load the model"),
        (lambda folder: os.truncate(folder / "model.safetensors", 5000), "Transformers cannot load the model"),
        (
            lambda folder: (folder / "config.json").write_text(
                (folder / "config.json").read_text().replace('"embedding_size": 8', '"embedding_size": 12')
            ),
            "the weights do not match config.json: resnet",
        ),
    ],
)
def test_a_damaged_folder_of_pretrained_weights_is_named_in_one_line(
    damage: Callable[[Path], object], fault: str, tiny: Path, practice: Source, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path / "deep" / "weights"))
    damage(folder)
    with pytest.raises(UserError) as refusal:
        fine_tune(load_recipe("even-odd", [f"pretrained={folder}"]), practice, str(tmp_path / "run"), quiet=True)  # type: ignore[arg-type]
    assert str(refusal.value).startswith(f"{folder}: {fault}")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_a_truncated_run_or_another_number_of_classes_is_rejected(copy: Run, tiny: Path) -> None:
    copy.save_card(copy.card.model_copy(update={"checksums": {}}))
    os.truncate(copy.folder / "transformers" / "model.safetensors", 5000)
    with pytest.raises(UserError, match="transformers: Transformers cannot load the model"):
        Predictor.load(copy.folder)
    shutil.rmtree(copy.folder / "transformers")
    shutil.copytree(tiny, copy.folder / "transformers")
    with pytest.raises(UserError, match="transformers: the model has 5 classes, expected 2; copy the run again"):
        Predictor.load(copy.folder)


def test_an_unreachable_hub_is_reported_within_seconds_with_three_remedies(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "HF_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(PROJECT),
    }
    program = (
        "import sys, time; from pathlib import Path; from pipeline import UserError\n"
        "from pipeline.models.parity import fetch_from_hub\n"
        "started = time.monotonic()\n"
        "try: fetch_from_hub('microsoft/resnet-18')\n"
        "except UserError as error: print(error)\n"
        "assert time.monotonic() - started < 10"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert outcome.stdout.count("\n") == 1
    for words in (
        "microsoft/resnet-18: no such folder, and the download from the Hugging Face hub failed (",
        "check your network connection and try again",
        "hf download microsoft/resnet-18 --local-dir FOLDER",
        "--set pretrained=FOLDER",
        "--set pretrained=null",
    ):
        assert words in outcome.stdout


def test_a_model_in_the_hubs_cache_needs_no_network(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    from pipeline.models import parity

    snapshot = tmp_path / "models--someone--tiny" / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(tiny, snapshot)
    (tmp_path / "models--someone--tiny" / "refs").mkdir()
    (tmp_path / "models--someone--tiny" / "refs" / "main").write_text(snapshot.name)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(parity, "urlopen", None)
    started = time.monotonic()
    assert parity.fetch_from_hub("someone/tiny") == snapshot
    assert time.monotonic() - started < 5
