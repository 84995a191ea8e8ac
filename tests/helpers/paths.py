"""Where the project is, and the real files beside it."""

from pathlib import Path

PROJECT = Path(__file__).parents[2]
SHARED = PROJECT.parent / "shared" / "data"
