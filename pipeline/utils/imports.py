"""Packages that only some commands need."""

from importlib import import_module
from typing import Any

from pipeline.errors import UserError

INSTALL = "pip install --requirement requirements-cluster.txt"


def import_optional(name: str) -> Any:
    """Return a module of requirements-cluster.txt, imported now that it is needed.

    Raises:
        UserError: it, or what it needs, is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise missing_package(error) from None


def missing_package(error: ImportError) -> UserError:
    """Return the UserError for a module of requirements-cluster.txt that is not there."""
    return UserError(f"{error.name} is not installed: {INSTALL}")
