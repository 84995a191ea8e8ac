"""Torch's errors of a device: each is one line with a remedy, and all others pass."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.commands import Outcome
from helpers.files import csv_text

from pipeline import DigitTable, Predictor, Run
from pipeline.utils.device_errors import (
    DeviceError,
    DeviceMemoryError,
    LoadingError,
    MissingOperatorError,
    report_device_errors,
)

MISSING = (
    "The operator 'aten::_upsample_bilinear2d_aa.out' is not currently implemented for the MPS device. If you want "
    "this op to be considered for addition please comment on an issue.\nAs a temporary fix, you can set a variable."
)
KILLED = "DataLoader worker (pid 71) is killed by signal: Bus error. It is possible that they are out of shared memory."
IN_WORKER = (
    "Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
    "RuntimeError: unable to write to file </torch_71_1>: No space left on device (28)"
)


@pytest.mark.parametrize(
    ("error", "kind", "line"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has"),
            DeviceMemoryError,
            "out of memory (CUDA out of memory); end other programs that use the device, or put CUDA_VISIBLE_DEVICES= "
            "before the command to use the CPU",
        ),
        (
            torch.AcceleratorError("CUDA error: out of memory\nCompile with"),
            DeviceMemoryError,
            "out of memory (CUDA error",
        ),
        (
            RuntimeError("MPS backend out of memory (MPS allocated: 18 GB)."),
            DeviceMemoryError,
            "out of memory (MPS backend",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you"),
            DeviceMemoryError,
            "out of memory (DefaultCPU",
        ),
        (
            RuntimeError(KILLED),
            LoadingError,
            "a process that loads batches has ended (DataLoader worker (pid 71) is killed by signal: Bus error); "
            "shared memory (/dev/shm) may be too small; lower workers, for example --set workers=0, or enlarge ",
        ),
        (
            RuntimeError("DataLoader worker (pid(s) 71) exited unexpectedly"),
            LoadingError,
            "a process that loads batches",
        ),
        (RuntimeError(IN_WORKER), LoadingError, "a process that loads batches"),
        (
            NotImplementedError(MISSING),
            MissingOperatorError,
            "MPS lacks aten::_upsample_bilinear2d_aa; put PYTORCH_ENABLE_MPS_FALLBACK=1 before the command to compute "
            "it on the CPU",
        ),
    ],
)
def test_an_error_of_a_device_is_one_line_with_its_remedy(
    error: RuntimeError, kind: type[DeviceError], line: str
) -> None:
    with pytest.raises(kind) as raised, report_device_errors():
        raise error
    assert str(raised.value).startswith(line) and "\n" not in str(raised.value)
    assert type(pickle.loads(pickle.dumps(raised.value))) is kind, "a worker sends it to its parent"


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes (1, 2) and (3, 4) do not match"), NotImplementedError("forward"), KeyError("MPS")]
)
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, report_device_errors():
        raise error
    assert raised.value is error


def test_a_prediction_that_runs_out_of_memory_ends_with_one_line(
    command: Callable[..., Outcome], run: Run, digits: DigitTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    (tmp_path / "test.csv").write_text(csv_text(DigitTable(digits.pixels[:2])))
    monkeypatch.setattr(Predictor, "logits", fail)
    outcome = command("predict", run.folder, "test.csv", "--out", "answers.csv")
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: out of memory (CUDA out of memory); end other programs")


def test_the_translation_imports_no_torch() -> None:
    program = "import sys, pipeline.utils.device_errors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
