"""Read safetensors files, and convert nested states to and from JSON plus named tensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from pipeline.errors import damaged_file


def contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors in contiguous layout, which safetensors requires."""
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a safetensors file, on the CPU, and its metadata.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.offset_keys()}, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise damaged_file(path, error) from None


def extract_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Convert `value` to JSON-compatible values, and move its tensors into `tensors`.

    A dict becomes {"dict": [[key, value], ...]}, which preserves numeric keys. A tensor becomes {"tensor": its name}.
    """
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, extract_tensors(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [extract_tensors(item, tensors) for item in value]
    return value


def insert_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return the original value: the inverse of `extract_tensors`."""
    if isinstance(value, list):
        return [insert_tensors(item, tensors) for item in value]
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: insert_tensors(item, tensors) for key, item in value["dict"]}
    return value
