"""The lesson: each of its commands changes one thing of the command before, and its pictures exist."""

import re
import shlex
from itertools import pairwise

from helpers.paths import PROJECT

from pipeline import Recipe

PAGE = (PROJECT / "docs" / "lesson.md").read_text(encoding="utf-8")
CHANGES = [
    {"model", "batch_norm"},
    {"batch_norm"},
    {"rotation", "shift", "zoom", "shear"},
    {"scheduler", "learning_rate", "other_learning_rate"},
    {"epochs"},
    {"members", "validation_fraction"},
]
"""The settings that each step changes, from the second on."""


def steps() -> list[Recipe]:
    """Return the recipe that each command of the lesson trains, with its settings."""
    commands = re.findall(r"^python -m pipeline train ((?:.*\\\n)*.*)$", PAGE, re.MULTILINE)
    words = [shlex.split(command.replace("\\\n", " ")) for command in commands]
    return [Recipe.load(name, [word for word in rest if "=" in word]) for name, *rest in words]


def test_each_step_changes_one_thing() -> None:
    recipes = [recipe.model_dump() for recipe in steps()]
    changes = [{key for key in recipe if recipe[key] != before[key]} for before, recipe in pairwise(recipes)]
    assert changes == CHANGES


def test_every_picture_of_the_lesson_is_on_its_page() -> None:
    assert {path.name for path in (PROJECT / "docs" / "lesson").iterdir()} == set(
        re.findall(r'src="lesson/(.+?)"', PAGE)
    )
