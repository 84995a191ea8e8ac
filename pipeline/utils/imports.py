"""Imports of optional packages, which only some commands need."""

from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.errors import UserError

EXTRA_BY_MODULE = {
    "fastapi": "demo",
    "gradio": "demo",
    "gradio_client": "demo",
    "huggingface_hub": "transformers",
    "kaggle": "kaggle",
    "onnx": "transformers",
    "onnxscript": "transformers",
    "optuna": "search",
    "psycopg": "search",
    "pyarrow": "cluster",
    "ray": "cluster",
    "six": "kaggle",
    "sqlalchemy": "search",
    "tensorboard": "tensorboard",
    "transformers": "transformers",
    "uvicorn": "demo",
}
"""The extra of the package that installs each optional module; the files in requirements/ have the same names."""
CLUSTER_EXTRAS = {"cluster", "search"}
"""Extras that `make setup` does not install."""


def import_optional(name: str) -> Any:
    """Import and return an optional module.

    Raises:
        UserError: the module, or one of its dependencies, is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise missing_package(error, name) from None


def is_optional(error: ModuleNotFoundError) -> bool:
    """Return whether an error is that of an optional module."""
    return _top_level(error.name) in EXTRA_BY_MODULE


def missing_package(error: ImportError, name: str | None = None) -> UserError:
    """Return the UserError for a module that is not installed; `name` is the optional module that requires it."""
    return UserError(f"{error.name} is not installed; run: {install_command(name or error.name)}")


def install_command(name: str | None) -> str:
    """Return the command that installs an optional module, in a checkout or with the package."""
    extra = EXTRA_BY_MODULE[_top_level(name)]
    file = f"requirements{'-cluster' if extra in CLUSTER_EXTRAS else ''}.txt"
    if (Path(__file__).parents[2] / file).exists():
        return f"pip install --requirement {file}"
    return f"pip install 'digit-recognizer[{extra}]'"


def _top_level(name: str | None) -> str:
    """Return the package of a module."""
    return (name or "").partition(".")[0]
