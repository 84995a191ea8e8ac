"""Path of the project, and of the real data files next to it."""

from pathlib import Path

PROJECT = Path(__file__).parents[2]
SHARED = PROJECT.parent / "shared" / "data"
