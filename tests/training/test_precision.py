"""Training in float16, as on GPUs without bfloat16. These tests run on a CPU; no GPU has been tried."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.interrupts import interrupted_evaluation

from pipeline import Predictor, Recipe, Source, train
from pipeline.training.optim.factory import make_scaler
from pipeline.utils.device import autocast, compute_dtype, tune_convolutions

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize(
    ("gpu", "capability", "bfloat16", "expected"),
    [
        ("GTX 1080", (6, 1), False, torch.float32),
        ("V100", (7, 0), False, torch.float16),
        ("T4", (7, 5), False, torch.float16),
        ("A100", (8, 0), True, torch.bfloat16),
        ("H100", (9, 0), True, torch.bfloat16),
    ],
)
def test_a_gpu_computes_in_the_dtype_that_its_tensor_cores_have(
    gpu: str, capability: tuple[int, int], bfloat16: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: bfloat16)
    assert compute_dtype("auto", CUDA) is expected, gpu
    assert compute_dtype("float32", CUDA) is torch.float32
    assert compute_dtype("bfloat16", CUDA) is torch.bfloat16


def test_only_float16_scales_the_loss() -> None:
    assert make_scaler(torch.float16, CPU) is not None
    assert make_scaler(torch.bfloat16, CPU) is make_scaler(torch.float32, CPU) is None


def test_autocast_uses_the_dtype() -> None:
    weight = torch.ones(2, 2)
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        with autocast(dtype, CPU):
            assert (weight @ weight).dtype is dtype


def test_cudnn_measures_its_algorithms_on_cuda_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.cudnn.benchmark", False)
    tune_convolutions(CPU)
    assert torch.backends.cudnn.benchmark is False
    tune_convolutions(CUDA)
    assert torch.backends.cudnn.benchmark is True


@pytest.fixture
def float16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in float16 on this CPU."""
    monkeypatch.setattr("pipeline.training.trainer.compute_dtype", lambda precision, device: torch.float16)


def test_training_in_float16_learns_and_resumes_to_identical_weights(
    float16: None, practice: Source, tmp_path: Path
) -> None:
    recipe = Recipe.load("fast", ["epochs=3", "minimum_updates=60", "batch_size=128"])
    whole = train(recipe, practice, str(tmp_path / "whole"), quiet=True)
    assert whole.card.precision == "float16"
    assert whole.card.scores["validation_accuracy"] > 0.8
    with interrupted_evaluation(2), pytest.raises(KeyboardInterrupt):
        train(recipe, practice, str(tmp_path / "halves"), quiet=True)
    resumed = train(recipe, practice, str(tmp_path / "halves"), resume=True, quiet=True)
    assert resumed.model_path.read_bytes() == whole.model_path.read_bytes()


def test_images_for_which_float16_overflows_are_predicted_again_in_float32(
    practice: Source, monkeypatch: pytest.MonkeyPatch, run: object
) -> None:
    predictor = Predictor.load(run.folder)  # type: ignore[attr-defined]
    pixels = practice.read_test().pixels[:20]
    predictor.fused, predictor.dtype = predictor.fused_float32, torch.float32
    expected = predictor.predict(pixels).probabilities
    compute: Callable = predictor.logits

    def overflowing(model: object, dtype: torch.dtype, table: object) -> object:
        logits = compute(predictor.fused_float32, torch.float32, table)
        return logits if dtype is torch.float32 else logits * float("nan")

    monkeypatch.setattr(predictor, "logits", overflowing)
    predictor.dtype = torch.float16
    assert (predictor.predict(pixels).probabilities == expected).all()
