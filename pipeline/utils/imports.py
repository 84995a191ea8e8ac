"""Imports of optional packages, which only some commands need."""

from importlib import import_module
from typing import Any

from pipeline.errors import UserError

INSTALL_COMMAND = "pip install --requirement requirements-cluster.txt"


def import_optional(name: str) -> Any:
    """Import and return a module of a package in requirements-cluster.txt.

    Raises:
        UserError: the package, or one of its dependencies, is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise missing_package(error) from None


def missing_package(error: ImportError) -> UserError:
    """Return the UserError for a package in requirements-cluster.txt that is not installed."""
    return UserError(f"{error.name} is not installed; run: {INSTALL_COMMAND}")
