"""Which processor computes, and in which precision and memory layout it is fastest."""

import ctypes
import sys

import torch


def pick_device() -> torch.device:
    """Return the fastest device at hand: CUDA, then Apple's MPS, then the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype that convolutions compute in on `device`.

    Args:
        precision: "float32", "bfloat16" or "auto".

    With "auto" it is bfloat16 where the device multiplies in it (AVX-512 BF16 or AMX on a CPU, Ampere or
    newer on CUDA), and float32 elsewhere: emulated bfloat16 is slower than float32.
    """
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return torch.bfloat16 if native else torch.float32


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Return a context in which `device` computes convolutions in `dtype`; it does nothing for float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16)


def memory_format(device: torch.device) -> torch.memory_format:
    """Return the layout in which `device` convolves fastest: channels last everywhere but on MPS."""
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def keep_freed_memory() -> None:
    """Let the C library keep the memory that tensors give back, for the tensors that come next.

    An update frees its activations and the next one asks for as many. By default glibc returns large blocks to the
    system in between, and the system clears every page anew: up to a third of the time of an update. Other C libraries
    are left as they are.
    """
    if sys.platform == "linux":
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if set_option:
            trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of <malloc.h>
            set_option(mmap_max, 0)  # no block is mapped on its own, however large, to be unmapped when it is freed
            set_option(trim_threshold, 2**31 - 1)  # the most that it takes
