"""Run a script where only the packages in a requirements file, and those that they require, can be imported.

Usage: python only_required.py REQUIREMENTS SCRIPT
"""

import runpy
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from types import ModuleType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


class Refusal(MetaPathFinder):
    """Refuses packages that are installed but not required."""

    def __init__(self, allowed: set[str]) -> None:
        self.refused = {
            package
            for package, distributions in packages_distributions().items()
            if not allowed.intersection(map(canonicalize_name, distributions))
        }

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Raise an error for a refused package; leave others to Python."""
        if name.partition(".")[0] in self.refused:
            raise ModuleNotFoundError(f"No module named {name!r}: it is not required", name=name)
        return None


def with_dependencies(lines: list[str]) -> set[str]:
    """Return the names of the required distributions and of all that they require, extras included."""
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(line) for line in lines]
    while waiting:
        wanted = waiting.pop()
        for extra in ("", *wanted.extras):
            entry = (canonicalize_name(wanted.name), extra)
            if entry not in found:
                found.add(entry)
                needs = map(Requirement, requires(wanted.name) or [])
                waiting += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


if __name__ == "__main__":
    requirements, script = sys.argv[1:]
    lines = Path(requirements).read_text(encoding="utf-8").splitlines()
    sys.meta_path.insert(0, Refusal(with_dependencies([line for line in lines if line and line[0] not in "#-"])))
    sys.argv = [script]
    sys.path[0] = str(Path(script).resolve().parent)
    runpy.run_path(script, run_name="__main__")
