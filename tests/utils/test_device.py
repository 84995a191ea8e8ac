"""The device: its memory, and a GPU that is there and cannot be used, which torch's queries describe."""

import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest
import torch
from accelerate.state import AcceleratorState

from pipeline import Recipe
from pipeline.training.optim.factory import make_accelerator
from pipeline.utils.device import cuda_fails, pick_device

PROGRAM = """
import resource, torch
from pipeline import Recipe
from pipeline.utils.device import keep_freed_memory
from pipeline.models import build

keep_freed_memory()
model = build(Recipe.load("fast")).to(memory_format=torch.channels_last)
images = torch.randn(256, 1, 28, 28)

def update():
    with torch.autocast("cpu", torch.bfloat16):
        model(images).float().square().sum().backward()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(10):
    update()
before = faults()
for _ in range(10):
    update()
print((faults() - before) // 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is configured to keep freed memory")
def test_an_update_reuses_the_memory_of_the_previous_one() -> None:
    completed = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    assert int(completed.stdout) < 500  # page faults per update; thousands if memory is returned to the system


ARCHITECTURES = ["sm_75", "sm_80", "sm_90a", "compute_90"]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let torch describe a GPU, whose first operation fails here because there is none."""

    def describe(*_: object) -> tuple[int, int]:
        warnings.warn("three lines of torch about this device", stacklevel=2)
        return 8, 6

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_arch_list", lambda: ARCHITECTURES)
    monkeypatch.setattr("torch.version.cuda", "13.0")
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Tesla P100-PCIE-16GB")
    monkeypatch.setattr("torch.cuda.get_device_capability", describe)
    cuda_fails.cache_clear()
    yield monkeypatch
    cuda_fails.cache_clear()


def works(*_: object) -> torch.Tensor:
    return torch.zeros(1)


@pytest.mark.filterwarnings("error")
def test_a_gpu_older_than_pytorchs_architectures_is_named_once_and_the_cpu_used(
    gpu: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.setattr("torch.cuda.get_device_capability", lambda: (6, 0))
    with caplog.at_level(logging.WARNING):
        assert [pick_device().type for _ in range(3)] == ["cpu"] * 3
    assert caplog.messages == [
        "The CPU is used instead of the GPU: Tesla P100-PCIE-16GB has CUDA capability 6.0, and this PyTorch is built "
        "for sm_75, sm_80, sm_90a, compute_90"
    ]


@pytest.mark.filterwarnings("error")
def test_a_gpu_that_fails_a_small_convolution_is_named_and_the_cpu_used(
    gpu: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device\nSearch for")

    gpu.setattr("pipeline.utils.device.torch.ones", lambda *_, **__: None)
    gpu.setattr("pipeline.utils.device.conv2d", fail)
    assert pick_device().type == "cpu"
    assert caplog.messages == [
        "The CPU is used instead of the GPU: CUDA error: no kernel image is available for execution on the device"
    ]


@pytest.mark.parametrize(
    ("capability", "runs"),
    [((7, 5), True), ((8, 6), True), ((8, 0), True), ((9, 0), True), ((12, 0), True), ((7, 0), False), ((6, 1), False)],
)
def test_code_runs_on_its_major_version_and_translated_code_on_all_later_ones(
    capability: tuple[int, int], runs: bool, gpu: pytest.MonkeyPatch
) -> None:
    gpu.setattr("torch.cuda.get_device_capability", lambda: capability)
    gpu.setattr("pipeline.utils.device.torch.ones", lambda *_, **__: None)
    gpu.setattr("pipeline.utils.device.conv2d", works)
    assert pick_device().type == ("cuda" if runs else "cpu")


def test_training_avoids_a_gpu_that_fails(gpu: pytest.MonkeyPatch, recipe: Recipe) -> None:
    gpu.setattr("torch.cuda.get_device_capability", lambda: (6, 0))
    AcceleratorState._reset_state(reset_partial_state=True)  # it is shared by all trainings of a process
    assert make_accelerator(recipe).device.type == "cpu"
