import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.files import csv_text
from helpers.interrupts import interrupted_evaluation
from helpers.paths import PROJECT
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from pipeline import DigitTable, Recipe, Run, Source, UserError, train
from pipeline.data.loader import normalise, ordered_loader, to_ink
from pipeline.reports.evaluate import labelled_rows
from pipeline.training.optim.factory import make_scheduler
from pipeline.training.trainer import Trainer


def make_trainer(recipe: Recipe, digits: DigitTable, folder: Path) -> Trainer:
    """Return a trainer for the recipe on a split of the digits."""
    training, validation = digits.split(recipe.validation_fraction, recipe.seed)
    return Trainer(recipe, training, validation, Run(folder))


def model_bytes(run: Run) -> bytes:
    """Return the contents of the run's model file."""
    return run.model_path.read_bytes()


@pytest.mark.parametrize("name", ["fast", "resnet18"])
def test_the_same_seed_gives_the_same_weights(name: str, tmp_path: Path, practice: Source) -> None:
    recipe = Recipe.load(name, ["epochs=1", "minimum_updates=0", "batch_size=256"])
    runs = [train(recipe, practice, str(tmp_path / folder), quiet=True) for folder in "ab"]
    assert model_bytes(runs[0]) == model_bytes(runs[1])


def test_another_seed_gives_other_weights(tmp_path: Path, practice: Source, recipe: Recipe) -> None:
    runs = [
        train(recipe.model_copy(update={"seed": seed, "epochs": 1}), practice, str(tmp_path / str(seed)), quiet=True)
        for seed in (0, 1)
    ]
    assert model_bytes(runs[0]) != model_bytes(runs[1])


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["scheduler=plateau", "scheduler_patience=0", "gamma=0.5", "optimizer=sgd", "learning_rate=0.05"],
        ["scheduler=step", "step_size=1", "gamma=0.1", "optimizer=adam", "gradient_accumulation=2"],
        ["ema_decay=0.9"],
    ],
)
def test_an_interrupted_run_resumes_to_identical_weights(settings: list[str], tmp_path: Path, practice: Source) -> None:
    recipe = Recipe.load("fast", ["epochs=4", "minimum_updates=0", "batch_size=128", *settings])
    uninterrupted = train(recipe, practice, str(tmp_path / "whole"), quiet=True)

    with interrupted_evaluation(3), pytest.raises(KeyboardInterrupt):
        train(recipe, practice, str(tmp_path / "halves"), quiet=True)
    interrupted = Run.open(tmp_path / "halves")
    assert (len(interrupted.history), interrupted.card.finished) == (2, False)
    train(recipe, practice, str(tmp_path / "halves"), resume=True, quiet=True)
    assert model_bytes(interrupted) == model_bytes(uninterrupted)
    assert Run.open(tmp_path / "halves").card.finished
    assert not interrupted.progress_path.exists()
    for found, expected in zip(interrupted.history, uninterrupted.history, strict=True):
        assert found.model_copy(update={"seconds": 0}) == expected.model_copy(update={"seconds": 0})


def start_training(folder: Path, digits: DigitTable, *arguments: str) -> subprocess.Popen[str]:
    """Start `train fast` on these digits in a separate process, in `folder`."""
    data = folder / "data" / "train.csv"
    if not data.exists():
        data.parent.mkdir()
        data.write_text(csv_text(digits))
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "train", "fast", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for_file(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the process has written a file."""
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_run_resumes_to_identical_weights(tmp_path: Path, digits: DigitTable) -> None:
    settings = ["--set", "epochs=4", "--set", "minimum_updates=40"]
    assert start_training(tmp_path, digits, "--run", "whole", *settings).wait(300) == 0
    killed = start_training(tmp_path, digits, "--run", "killed", *settings)
    history = tmp_path / "checkpoints" / "killed" / "history.csv"
    wait_for_file(history, killed)  # written at the end of the first epoch
    time.sleep(0.3)  # the second epoch is running
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    with history.open() as file:
        assert 1 <= len(list(csv.DictReader(file))) < 4
    resumed = start_training(tmp_path, digits, "--run", "killed", *settings, "--resume")
    assert resumed.wait(300) == 0, resumed.communicate()
    runs = [Run(tmp_path / "checkpoints" / name) for name in ("whole", "killed")]
    assert model_bytes(runs[0]) == model_bytes(runs[1])


def test_an_interrupt_keeps_the_best_model_and_prints_the_resume_command(tmp_path: Path, digits: DigitTable) -> None:
    process = start_training(tmp_path, digits, "--run", "mine", "--set", "epochs=1000")
    wait_for_file(tmp_path / "checkpoints" / "mine" / "model.safetensors", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "To resume: python -m pipeline train checkpoints/mine/recipe.yaml --run checkpoints/mine --resume" in out
    assert Run(tmp_path / "checkpoints" / "mine").load_model()


def test_resume_without_a_name_takes_the_newest_unfinished_run(
    tmp_path: Path, practice: Source, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no unfinished run of fast"):
        train(recipe, practice, resume=True, quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "evaluate", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            reworded = recipe.model_copy(update={"summary": "The text of another version."})
            train(reworded, practice, "stopped", quiet=True)
    assert train(recipe, practice, resume=True, quiet=True).folder == Path("checkpoints/stopped")


def test_a_run_is_not_resumed_with_other_settings_or_other_data(
    tmp_path: Path, practice: Source, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "evaluate", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(recipe, practice, str(tmp_path / "stopped"), quiet=True)
    with pytest.raises(UserError, match="was started with other settings; resume it with"):
        train(recipe.model_copy(update={"seed": 9}), practice, str(tmp_path / "stopped"), resume=True, quiet=True)
    fewer = Source(
        "practice", practice.path, "", lambda: practice.read_train().select(np.arange(500)), practice.read_test
    )
    with pytest.raises(UserError, match="was started on other data"):
        train(recipe, fewer, str(tmp_path / "stopped"), resume=True, quiet=True)


def test_early_stopping_keeps_the_best_weights(
    tmp_path: Path, digits: DigitTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.load("fast", ["epochs=9", "patience=2", "min_delta=0.05", "minimum_updates=0", "batch_size=512"])
    trainer = make_trainer(recipe, digits, tmp_path)
    losses = iter([0.9, 0.5, 0.47, 0.46])  # the last two improve by less than 0.05
    evaluate, seen = Trainer.evaluate, []

    def evaluate_with_set_loss(self: Trainer) -> object:
        seen.append({name: value.clone() for name, value in self.model.state_dict().items()})
        return next(losses), evaluate(self)[1]

    monkeypatch.setattr(Trainer, "evaluate", evaluate_with_set_loss)
    monkeypatch.setattr(Trainer, "finish", lambda self, run: None)
    trainer.fit(quiet=True)
    assert [epoch.saved for epoch in trainer.history] == [True, True, False, False]
    kept = trainer.run.load_model()
    assert all(torch.equal(kept[name], value) for name, value in seen[1].items())
    assert not all(torch.equal(kept[name], value) for name, value in seen[3].items())


def test_a_validation_loss_of_0_is_the_best(
    tmp_path: Path, digits: DigitTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(Recipe.load("fast", ["epochs=3", "minimum_updates=0", "batch_size=512"]), digits, tmp_path)
    losses = iter([0.0, 0.5, 0.0])
    monkeypatch.setattr(Trainer, "evaluate", lambda self: (next(losses), 1.0))
    monkeypatch.setattr(Trainer, "finish", lambda self, run: None)
    trainer.fit(quiet=True)
    assert [epoch.saved for epoch in trainer.history] == [True, False, False]


def test_the_step_scheduler_steps_once_per_epoch(tmp_path: Path, digits: DigitTable) -> None:
    recipe = Recipe.load(
        "fast", ["scheduler=step", "step_size=1", "gamma=0.5", "learning_rate=0.008", "epochs=3", "minimum_updates=0"]
    )
    trainer = make_trainer(recipe, digits, tmp_path)
    for _ in range(3):
        trainer.run_epoch(quiet=True)
    assert [epoch.learning_rate for epoch in trainer.history] == [0.008, 0.004, 0.002]


@pytest.mark.parametrize("accumulation", [1, 3])
def test_one_cycle_ends_with_the_last_update(accumulation: int, tmp_path: Path, digits: DigitTable) -> None:
    recipe = Recipe.load(
        "fast", ["epochs=2", "minimum_updates=0", "batch_size=128", f"gradient_accumulation={accumulation}"]
    )
    trainer = make_trainer(recipe, digits, tmp_path)
    for _ in range(2):
        trainer.run_epoch(quiet=True)
    batches = 1167 // 128
    assert trainer.scheduler.last_epoch == trainer.scheduler.total_steps == 2 * -(-batches // accumulation)


def test_one_cycle_rises_to_the_learning_rate_and_falls() -> None:
    recipe = Recipe.load("fast", ["epochs=10", "warmup=0.3"])
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=recipe.learning_rate)
    scheduler = make_scheduler(recipe, optimizer, updates_per_epoch=10)
    rates = []
    for _ in range(100):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert max(rates) == pytest.approx(recipe.learning_rate, rel=1e-2)
    assert abs(int(np.argmax(rates)) - 29) <= 1


def test_validation_counts_each_row_once(tmp_path: Path, digits: DigitTable, recipe: Recipe) -> None:
    validation = digits.select(np.arange(1001))
    trainer = Trainer(recipe, digits, validation, Run(tmp_path))
    loss, accuracy = trainer.evaluate()
    with torch.inference_mode():
        logits = torch.cat(
            [trainer.model(normalise(to_ink(pixels), recipe)) for pixels, _ in ordered_loader(validation, 1)]
        )
    labels = torch.from_numpy(validation.known_labels.copy())
    assert accuracy * 1001 == pytest.approx((logits.argmax(1) == labels).sum().item())
    assert loss == pytest.approx(cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing).item(), rel=1e-4)


def test_a_diverged_run_names_the_remedy(tmp_path: Path, practice: Source, recipe: Recipe) -> None:
    diverging = recipe.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(UserError, match="lower learning_rate"):
        train(diverging, practice, str(tmp_path / "wild"), quiet=True)


def test_a_validation_loss_of_nan_is_reported(
    tmp_path: Path, practice: Source, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "evaluate", lambda self: (float("nan"), 0.1))
    with pytest.raises(UserError, match=r"training diverged in epoch 1 \(loss .* nan\); lower learning_rate"):
        train(recipe, practice, str(tmp_path / "wild"), quiet=True)


def test_training_works_in_float32(tmp_path: Path, practice: Source, recipe: Recipe) -> None:
    plain = recipe.model_copy(update={"precision": "float32", "epochs": 2})
    run = train(plain, practice, str(tmp_path / "plain"), quiet=True)
    assert run.card.precision == "float32"
    assert run.history[-1].train_loss < run.history[0].train_loss


def test_without_validation_rows_all_rows_are_training_rows_and_the_last_epoch_is_kept(
    tmp_path: Path, practice: Source, recipe: Recipe
) -> None:
    whole = recipe.model_copy(update={"validation_fraction": 0.0})
    run = train(whole, practice, str(tmp_path / "whole"), quiet=True)
    assert run.card.train_rows == 1297
    assert run.card.validation_rows == 0
    assert run.card.scores == {}
    assert "no validation rows" in run.card.validation_in_words
    assert [epoch.saved for epoch in run.history] == [True] * whole.epochs
    assert {epoch.validation_loss for epoch in run.history} == {None}
    with pytest.raises(UserError, match="has no validation rows"):
        labelled_rows(run, "validation", tmp_path)


def test_patience_without_validation_rows_is_rejected() -> None:
    with pytest.raises(UserError, match=r"patience: 10 is not valid: .*set validation_fraction above 0"):
        Recipe.load("resnet18", ["validation_fraction=0"])


def test_without_validation_rows_the_temperature_is_fitted_on_training_rows(practice: Source, tmp_path: Path) -> None:
    recipe = Recipe.load("fast", ["epochs=2", "minimum_updates=30", "validation_fraction=0"])
    run = train(recipe, practice, str(tmp_path / "run"), quiet=True)
    assert 0.1 < run.card.temperature < 0.95  # label smoothing makes the raw confidence too low
