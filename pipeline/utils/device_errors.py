"""Errors that torch raises for a device: too little memory, killed loading processes, missing operators."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.errors import UserError, quote

MEMORY_SIGNS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""Parts of the messages of CUDA, MPS, the CPU and cuBLAS."""
LOADING_SIGNS = ("killed by signal", "exited unexpectedly", "shared memory", "/torch_")
"""Parts of the messages about a loading process, if /dev/shm or the memory is too small."""
MPS_FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK=1"
"""The variable with which torch computes the operators that MPS lacks on the CPU."""


class DeviceError(UserError):
    """A device cannot do what torch asked of it.

    Attributes:
        remedy: the remedy that any command can name.
    """

    remedy = ""


class DeviceMemoryError(DeviceError):
    """The memory of a device is too small."""

    remedy = "end other programs that use the device, or put CUDA_VISIBLE_DEVICES= before the command to use the CPU"


class LoadingError(DeviceError):
    """A process that loads batches was killed, or has too little shared memory."""

    remedy = "lower workers, for example --set workers=0, or enlarge /dev/shm"


class MissingOperatorError(DeviceError):
    """MPS lacks an operator."""

    remedy = f"put {MPS_FALLBACK} before the command to compute it on the CPU"


@contextmanager
def report_device_errors(remedy: Callable[[type[DeviceError]], str] = lambda kind: kind.remedy) -> Iterator[None]:
    """Raise a DeviceError for torch's error of a device in the block; other errors pass.

    Args:
        remedy: returns the end of the message for a kind of error.
    """
    try:
        yield
    except RuntimeError as error:
        kind = _kind_of(error)
        if kind is None:
            raise
        raise kind(f"{_describe(error, kind)}; {remedy(kind)}") from error


def _kind_of(error: RuntimeError) -> type[DeviceError] | None:
    """Return the kind of torch's error; None if it is not about a device."""
    text = str(error)
    if type(error).__name__ == "OutOfMemoryError" or any(sign in text for sign in MEMORY_SIGNS):
        return DeviceMemoryError
    if "DataLoader worker" in text and any(sign in text for sign in LOADING_SIGNS):
        return LoadingError
    if isinstance(error, NotImplementedError) and "MPS" in text:
        return MissingOperatorError
    return None


def _describe(error: RuntimeError, kind: type[DeviceError]) -> str:
    """Return the fault in one line."""
    if kind is MissingOperatorError:
        operator = re.search(r"aten::\w+", str(error))
        return f"MPS lacks {operator[0] if operator else 'an operator'}"
    first_sentence = quote(str(error).partition(". ")[0])
    if kind is LoadingError:
        return f"a process that loads batches has ended ({first_sentence}); shared memory (/dev/shm) may be too small"
    return f"out of memory ({first_sentence})"
