"""Fine-tuning with Transformers' Trainer."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.commands import Outcome
from helpers.recipes import SMALL_FINE_TUNING
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline import Predictor, Run, Source, UserError
from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import load_recipe
from pipeline.models.parity import ParityNetwork
from pipeline.reports.evaluate import validation_rows
from pipeline.training.fine_tune import HistoryCallback, fine_tune


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
