"""Choice of device, precision and memory layout, and memory allocation."""

import ctypes
import sys

import torch

TENSOR_CORES = (7, 0)
"""First CUDA capability (Volta) whose float16 is faster than float32 and accumulated in float32."""


def pick_device() -> torch.device:
    """Return the fastest available device: CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


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
