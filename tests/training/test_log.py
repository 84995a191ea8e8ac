import logging
from pathlib import Path

import pytest
from helpers.interrupts import interrupted_evaluation
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline import Recipe, Source, UserError, train


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the scalars that TensorBoard shows for a run, as (step, value) by tag."""
    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]
    }


def test_a_run_writes_its_log_and_tensorboard_events(tmp_path: Path, practice: Source, recipe: Recipe) -> None:
    run = train(recipe, practice, str(tmp_path / "mine"), quiet=True)
    lines = (run.folder / "training.log").read_text().splitlines()
    assert [line.split()[1] for line in lines if "/3 " in line] == ["1/3", "2/3", "3/3"]
    found = events(run.folder)
    measured = {f"{metric}/{rows}" for metric in ("loss", "accuracy") for rows in ("train", "validation")}
    assert set(found) == measured | {"learning rate", "seconds"}
    for epoch, (step, loss) in zip(run.history, found["loss/validation"], strict=True):
        assert (step, loss) == (epoch.epoch, pytest.approx(epoch.validation_loss))


def test_a_quiet_run_prints_nothing_and_restores_the_logger(
    tmp_path: Path, practice: Source, recipe: Recipe, capfd: pytest.CaptureFixture[str]
) -> None:
    level = logging.getLogger("pipeline").level
    handlers = list(logging.getLogger("pipeline").handlers)
    train(recipe.model_copy(update={"epochs": 1}), practice, str(tmp_path / "mine"), quiet=True)
    assert capfd.readouterr() == ("", "")
    assert (logging.getLogger("pipeline").level, logging.getLogger("pipeline").handlers) == (level, handlers)


def test_a_resumed_run_appends_to_its_log_and_events(tmp_path: Path, practice: Source, recipe: Recipe) -> None:
    with interrupted_evaluation(2), pytest.raises(KeyboardInterrupt):
        train(recipe, practice, str(tmp_path / "mine"), quiet=True)
    run = train(recipe, practice, str(tmp_path / "mine"), resume=True, quiet=True)
    assert [step for step, _ in events(run.folder)["learning rate"]] == [1, 2, 3]
    log = (run.folder / "training.log").read_text()
    assert log.index("1/3") < log.index("3/3")


@pytest.mark.parametrize("file", ["training.log", "tensorboard"])
def test_a_full_disk_ends_the_training_in_one_line(
    file: str, tmp_path: Path, practice: Source, recipe: Recipe, capfd: pytest.CaptureFixture[str]
) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs Linux's /dev/full")
    folder = tmp_path / "run"
    folder.mkdir()
    if file == "training.log":
        (folder / file).symlink_to(full)
    else:
        (folder / file).touch()  # a file in place of the folder
    with pytest.raises(UserError, match=f"{file}: cannot be written: (the disk is full|a file exists where a folder)"):
        train(recipe, practice, str(folder), quiet=True)
    assert capfd.readouterr().err == ""
