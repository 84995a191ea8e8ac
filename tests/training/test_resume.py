"""A training that its device ends: the message names what to lower, and its command resumes the run."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.commands import Outcome

from pipeline import Recipe, Run, Source, UserError, train
from pipeline.training.resume import how_to_continue
from pipeline.training.trainer import Trainer
from pipeline.utils.device_errors import DeviceMemoryError, LoadingError

SETTINGS = ["epochs=3", "minimum_updates=0", "batch_size=256", "precision=float32"]
"""Of 1,167 rows, four batches of 256 or nine of 128: smaller batches may not make more updates."""
OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has")
KILLED = RuntimeError("DataLoader worker (pid 71) is killed by signal: Bus error. It is possible that")
MISSING = NotImplementedError("The operator 'aten::grid_sampler_2d' is not currently implemented for the MPS device.")


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """A function that lets the second evaluation of a training end with an error."""
    evaluate, calls = Trainer.evaluate, []

    def with_error(error: Exception) -> None:
        def evaluate_or_fail(self: Trainer) -> object:
            calls.append(1)
            if len(calls) == 2:
                raise error
            return evaluate(self)

        monkeypatch.setattr(Trainer, "evaluate", evaluate_or_fail)

    return with_error


def start(command: Callable[..., Outcome], practice: Source, *settings: str) -> str:
    """Train a run that fails, and return its error."""
    options = [word for setting in [*SETTINGS, *settings] for word in ("--set", setting)]
    outcome = command(
        "train", "fast", "--source", "practice", "--data", practice.data_dir, "--run", "mine", *options, "--quiet"
    )
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    return line.removeprefix("error: ")


def resume(command: Callable[..., Outcome], line: str) -> Run:
    """Run the command of an error, and return the finished run."""
    words = shlex.split(line.partition("to resume: ")[2])
    assert words[:3] == ["python", "-m", "pipeline"]
    outcome = command(*words[3:], "--quiet")
    assert (outcome.status, outcome.err) == (0, "")
    return Run.open("mine")


def test_a_run_out_of_memory_resumes_with_smaller_batches_and_as_many_updates(
    command: Callable[..., Outcome], practice: Source, fail: Callable[[Exception], None]
) -> None:
    fail(OUT_OF_MEMORY)
    line = start(command, practice)
    assert line.startswith("out of memory (CUDA out of memory); lower batch_size, with as many images in an update; ")
    run = resume(command, line)
    assert (run.recipe.batch_size, run.card.finished, len(run.history)) == (128, True, 3)
    assert run.recipe.model_dump()["gradient_accumulation"] == 2


def test_a_run_whose_workers_were_killed_resumes_without_them_to_the_same_weights(
    command: Callable[..., Outcome], practice: Source, fail: Callable[[Exception], None], tmp_path: Path
) -> None:
    whole = train(Recipe.load("fast", SETTINGS), practice, str(tmp_path / "whole"), quiet=True)
    fail(KILLED)
    line = start(command, practice, "workers=1")
    assert "(/dev/shm) may be too small; lower workers; to resume: " in line
    run = resume(command, line)
    assert run.model_path.read_bytes() == whole.model_path.read_bytes()


def test_a_missing_operator_resumes_with_the_fallback(
    command: Callable[..., Outcome], practice: Source, fail: Callable[[Exception], None]
) -> None:
    fail(MISSING)
    line = start(command, practice)
    assert line.startswith("MPS lacks aten::grid_sampler_2d; to resume, with the CPU for this operator: ")
    assert "PYTORCH_ENABLE_MPS_FALLBACK=1 python -m pipeline train checkpoints/mine/recipe.yaml --run " in line


def test_a_network_too_large_for_its_device_is_started_again(
    command: Callable[..., Outcome], practice: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_to_build(_: Recipe) -> None:
        raise OUT_OF_MEMORY

    monkeypatch.setattr("pipeline.training.trainer.build", fail_to_build)
    line = start(command, practice)
    assert line.endswith("; start it again with --set batch_size=128 --set gradient_accumulation=2")
    assert not Path("checkpoints/mine").exists()


@pytest.mark.parametrize(
    ("size", "smaller"), [(32, "16 --set gradient_accumulation=2"), (15, "5 --set gradient_accumulation=3")]
)
def test_the_smaller_batches_divide_an_update(size: int, smaller: str, tmp_path: Path) -> None:
    recipe = Recipe.load("fast", [f"batch_size={size}"])
    assert how_to_continue(Run(tmp_path), recipe, DeviceMemoryError).endswith(f"--set batch_size={smaller}")


def test_batches_that_cannot_be_smaller_need_another_network(tmp_path: Path) -> None:
    recipe = Recipe.load("fast", ["batch_size=7"])
    advice = "start a new run with a lower batch_size or image_size"
    assert how_to_continue(Run(tmp_path), recipe, DeviceMemoryError) == advice


def test_a_member_is_resumed_with_its_ensemble(run: Run, recipe: Recipe, tmp_path: Path) -> None:
    member = Run(tmp_path / "best" / "members" / "03")
    member.folder.mkdir(parents=True)
    recipe.save(member.recipe_path)
    command = f"train {tmp_path}/best/recipe.yaml --run {tmp_path}/best --resume --set workers=0"
    assert how_to_continue(member, recipe, LoadingError).endswith(command)


@pytest.mark.parametrize("setting", ["batch_size=128", "gradient_accumulation=2", "learning_rate=0.2"])
def test_a_run_is_not_resumed_with_other_updates(
    setting: str, practice: Source, fail: Callable[[Exception], None], tmp_path: Path
) -> None:
    fail(OUT_OF_MEMORY)
    with pytest.raises(DeviceMemoryError):
        train(Recipe.load("fast", SETTINGS), practice, str(tmp_path / "mine"), quiet=True)
    other = Recipe.load("fast", [*SETTINGS, setting])
    with pytest.raises(UserError, match="was started with other settings; resume it with"):
        train(other, practice, str(tmp_path / "mine"), resume=True, quiet=True)
