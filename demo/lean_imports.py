"""Imports of torch, SciPy and Gradio without what the page does not use.

Left out are CUDA's interface for Python, the rules of torch's compiler, Fortran's compiler, command lines, notebooks,
pandas, matplotlib and stub files for editors. This saves a tenth of the page's memory, a quarter of the time of torch's
import, and half of the time of Gradio's.
"""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy

ABSENT = ("cuda.bindings", "httpx._main", "IPython", "matplotlib")
"""Modules that torch, httpx and Gradio import if they are installed, and otherwise do without."""
DEFERRED = ("numpy.f2py", "pandas", "scipy.special", "torch._meta_registrations")
"""Modules that are imported by torch, SciPy and Gradio, and used by what the page does not call."""


class Deferred(ModuleType):
    """Stands for a module until one of its names is used; then that module is imported."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = None if "." in name else find_spec(name)  # that of a submodule would import its package
        self.__file__ = self.__spec__.origin if self.__spec__ else None  # `inspect` looks at that of every module

    def __getattr__(self, name: str) -> Any:
        """Return a name of the module."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def leave_out_unused_modules() -> None:
    """Leave out the modules in `ABSENT` and `DEFERRED`; call this before torch and SciPy are imported."""
    for name in ABSENT:
        sys.modules[name] = None  # type: ignore[assignment] # as if it were not installed
    for name in DEFERRED:
        sys.modules.setdefault(name, Deferred(name))
    numpy.f2py = sys.modules["numpy.f2py"]  # otherwise it searches itself for it, without end


def import_gradio() -> None:
    """Import Gradio; call this before any other module imports it."""
    with _without_stub_files():
        import_module("gradio")


@contextmanager
def _without_stub_files() -> Iterator[None]:
    """Keep Gradio from parsing the source of each component and writing a stub file beside it.

    It does so when a component's class is created, unless the class is in no file.
    """
    locate = inspect.getfile

    def getfile(item: Any) -> str:
        if isinstance(item, type) and item.__module__.startswith("gradio."):
            raise OSError("the page needs no stub files")
        return locate(item)

    with patch.object(inspect, "getfile", getfile):
        yield
