"""Choice of device, precision and memory layout, and memory allocation."""

import ctypes
import logging
import re
import sys
import warnings
from functools import cache

import torch
from torch.nn.functional import conv2d

log = logging.getLogger(__name__)

TENSOR_CORES = (7, 0)
"""First CUDA capability (Volta) whose float16 is faster than float32 and accumulated in float32."""


def pick_device() -> torch.device:
    """Return the fastest device that works: CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available() and not cuda_fails():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


@cache
def cuda_fails() -> bool:
    """Return whether there is a CUDA device on which this PyTorch cannot compute; if so, log the reason once."""
    fault = _cuda_fault() if torch.cuda.is_available() else None
    if fault:
        log.warning("The CPU is used instead of the GPU: %s", fault)
    return fault is not None


def _cuda_fault() -> str | None:
    """Return why this PyTorch cannot compute on the CUDA device, by its list of architectures and one convolution."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch describes an unsupported device in several lines
        try:
            capability = torch.cuda.get_device_capability()
            built_for = torch.cuda.get_arch_list() if torch.version.cuda else []  # ROCm's are no capabilities
            if built_for and not any(_runs_on(name, capability) for name in built_for):
                return (
                    f"{torch.cuda.get_device_name()} has CUDA capability {capability[0]}.{capability[1]}, and this "
                    f"PyTorch is built for {', '.join(built_for)}"
                )
            image = torch.ones(1, 1, 3, 3, device="cuda")
            conv2d(image, image).item()
        except RuntimeError as error:
            return str(error).partition("\n")[0]
    return None


def _runs_on(architecture: str, capability: tuple[int, int]) -> bool:
    """Return whether code for an architecture runs on a device.

    Args:
        architecture: "sm_86" for machine code, which runs on devices of the same major version and an equal or higher
            minor one, or "compute_90" for code that the driver translates for all later devices.
        capability: major and minor version of the device.
    """
    kind, _, number = architecture.partition("_")
    major, minor = divmod(int(re.sub(r"\D", "", number)), 10)
    if kind == "compute":
        return (major, minor) <= capability
    return major == capability[0] and minor <= capability[1]


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of convolutions on `device`.

    Args:
        precision: "float32", "bfloat16" or "auto". "auto" selects bfloat16 if the device has instructions for it
            (AVX-512 BF16 or AMX on a CPU, Ampere or newer on CUDA): emulated bfloat16 is slower than float32. On CUDA
            GPUs with tensor cores for float16 only (Volta and Turing, such as the T4) it selects float16. On all others
            it selects float32.
    """
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16
        return torch.float16 if torch.cuda.get_device_capability(device) >= TENSOR_CORES else torch.float32
    native = device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return torch.bfloat16 if native else torch.float32


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Return a context manager in which `device` computes convolutions in `dtype`; no effect for float32."""
    reduced = dtype is not torch.float32
    return torch.autocast(device.type, dtype=dtype if reduced else torch.bfloat16, enabled=reduced)


def tune_convolutions(device: torch.device) -> None:
    """Let cuDNN choose the fastest algorithm for each size of a convolution, measured at its first use.

    All batches of a training but the last of an epoch have the same size. Other devices are not changed.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True


def memory_format(device: torch.device) -> torch.memory_format:
    """Return the fastest memory layout for convolutions on `device`: channels last, except on MPS."""
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def keep_freed_memory() -> None:
    """Configure glibc to keep freed memory in the process and reuse it for later tensors.

    Each update frees its activations, and the next update allocates the same amount. By default glibc returns large
    blocks to the system, which then clears every page again. This takes up to a third of the time of an update.
    Other C libraries are not changed.
    """
    if sys.platform == "linux":
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # musl does not define it
        if set_option:
            trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of <malloc.h>
            set_option(mmap_max, 0)  # never mmap a block: a mapped block is unmapped when it is freed
            set_option(trim_threshold, 2**31 - 1)  # the maximum value
