"""Messages: what they advise exists, for the command that prints them, and works as it is printed."""

import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Outcome
from helpers.files import csv_text
from helpers.interrupts import interrupted_evaluation

from pipeline import DigitTable, Run, UserError
from pipeline.estimator.classifier import MNISTClassifier


@pytest.mark.parametrize(("name", "suggestion"), [("MNIST", '; did you mean "mnist"?'), ("test", ""), ("kaggle", "")])
def test_other_digits_than_there_are_name_the_choices(
    name: str, suggestion: str, run: Run, command: Callable[..., Outcome]
) -> None:
    for verb in ("evaluate", "compare"):
        outcome = command(verb, run.folder, "--on", name)
        assert outcome.status == 2
        assert outcome.err == (
            f"error: --on {name}: no such file or folder{suggestion} (give mnist, validation, or a file or folder of "
            "labelled digits)\n"
        )


@pytest.mark.usefixtures("no_mirrors")
@pytest.mark.parametrize("verb", ["evaluate", "compare"])
def test_a_remedy_names_no_option_that_the_command_lacks(verb: str, run: Run, command: Callable[..., Outcome]) -> None:
    outcome = command(verb, run.folder, "--on", "mnist")
    assert outcome.status == 2
    assert "copy its four files to data/MNIST/raw" in outcome.err
    assert "--source" not in outcome.err
    assert "or use --source practice" in command("train", "fast", "--source", "mnist").err


@pytest.mark.usefixtures("no_mirrors")
def test_the_estimator_names_no_option_of_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"copy its four files to .*/MNIST/raw$"):
        MNISTClassifier(data=tmp_path).train()


@pytest.mark.parametrize(
    ("override", "meant"),
    [("lr=0.1", "learning_rate"), ("LR=0.1", "learning_rate"), ("bs=64", "batch_size"), ("wd=0", "weight_decay")],
)
def test_a_usual_short_name_suggests_the_setting(override: str, meant: str, command: Callable[..., Outcome]) -> None:
    for words in (["train", "fast"], ["submit"], ["train", "even-odd"]):
        outcome = command(*words, "--set", override)
        assert outcome.status == 2
        assert f'did you mean "{meant}"?' in outcome.err


@pytest.mark.parametrize("kind", ["network", "ensemble"])
def test_a_run_without_a_model_is_told_as_unfinished_with_the_line_to_resume(
    kind: str, command: Callable[..., Outcome]
) -> None:
    members = ["--set", "members=2", "--set", "validation_fraction=0", "--set", "folds=2"] if kind == "ensemble" else []
    settings = ["--set", "epochs=1", "--set", "minimum_updates=0", *members]
    with interrupted_evaluation(1), pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.training.ensemble._train_members", interrupt)
        begun = command("train", "fast", "--source", "practice", "--limit", "100", "--run", "my runs/a", *settings)
    assert begun.status == 130
    for words in (
        ["evaluate", "my runs/a", "--on", "data/practice/train.csv"],
        ["predict", "my runs/a", "data/practice/test.csv", "--out", "out.csv"],
        ["submit", "--run", "my runs/a", "--source", "practice"],
        ["export", "my runs/a", "--to", "safetensors", "--out", "out"],
    ):
        outcome = command(*words)
        assert outcome.status == 2
        message, _, line = outcome.err.rstrip().partition("; resume it: python -m pipeline ")
        assert message == "error: my runs/a: its training was stopped before it had saved a model"
    assert command(*shlex.split(line)).status == 0
    assert Run(Path("my runs/a")).card.finished


def interrupt(*_: object, **__: object) -> None:
    """Interrupt the training of the members, as Ctrl-C does."""
    raise KeyboardInterrupt


def test_a_stopped_submit_resumes_with_the_line_that_it_prints(command: Callable[..., Outcome]) -> None:
    with interrupted_evaluation(2):
        stopped = command("submit", "--source", "practice", "--data", "my data", "--set", "epochs=2", "--set", "seed=3")
    assert stopped.status == 130
    (line,) = (line for line in stopped.out.splitlines() if "To resume: " in line)
    words = shlex.split(line.partition("To resume: python -m pipeline ")[2])
    assert words[-4:] == ["--source", "practice", "--data", "my data"]
    assert command(*words).status == 0


def test_settings_of_a_submission_reach_its_card_and_its_provenance(
    command: Callable[..., Outcome], tmp_path: Path
) -> None:
    settings = ["--set", "epochs=1", "--set", "minimum_updates=0", "--set", "seed=5"]
    assert command("submit", *settings, "--source", "practice").status == 0
    (folder,) = (tmp_path / "checkpoints").iterdir()
    run = Run(folder)
    assert (run.recipe.epochs, run.recipe.seed, run.card.seed, run.card.recipe) == (1, 5, 5, "fast")
    assert f'"run": "checkpoints/{folder.name}"' in (tmp_path / "submissions" / "solution.json").read_text()


def test_settings_are_refused_for_a_trained_run(command: Callable[..., Outcome], run: Run) -> None:
    outcome = command("submit", "--run", run.folder, "--set", "epochs=1", "--source", "practice")
    assert (outcome.status, outcome.err) == (
        2,
        "error: --run and --set: a trained run keeps its settings; give a recipe to train with others\n",
    )


@pytest.mark.parametrize("rows", [100, 28_000])
def test_only_a_complete_submission_is_advised_to_be_sent(
    rows: int, run: Run, digits: DigitTable, tmp_path: Path, command: Callable[..., Outcome]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 28, 28), dtype=np.uint8)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.csv").write_text(csv_text(digits.select(np.arange(20))))
    header, *lines = csv_text(DigitTable(noise)).splitlines()
    (tmp_path / "mine" / "test.csv").write_text("\n".join([header, *lines * (rows // 100)]))
    outcome = command("submit", "--run", run.folder, "--source", "mine", "--out", "my answers.csv")
    assert outcome.status == 0, outcome.err
    last = outcome.out.splitlines()[-1]
    if rows == 28_000:
        assert last.startswith("To send it to Kaggle: python -m pipeline kaggle submit --file 'my answers.csv', or ")
    else:
        assert last == "Kaggle expects predictions for all 28,000 rows of test.csv; do not send this file"
