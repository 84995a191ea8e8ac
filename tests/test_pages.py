"""Pages for people who come from other projects or have a problem: commands, settings, names and links are valid."""

import re
import shlex

import pytest
import yaml
from helpers.paths import PROJECT
from typer.main import get_command

from pipeline import MNISTClassifier
from pipeline.cli.app import app
from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe, load_recipe

PAGES = ["docs/lesson.md", "docs/coming-from.md", "docs/troubleshooting.md", "CONTRIBUTING.md", "README.md"]
GUIDE = (PROJECT / "docs" / "coming-from.md").read_text()
TROUBLE = (PROJECT / "docs" / "troubleshooting.md").read_text()


def anchors(text: str) -> set[str]:
    """Return the anchors of a page: its ids, and those that GitHub makes of its headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    ids = set(re.findall(r'<a id="([^"]+)">', text))
    return ids | {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_has_a_target(page: str) -> None:
    path = PROJECT / page
    for target in re.findall(r"(?:\]\(|<img src=\")([^)\"]+)", path.read_text()):
        if not target.startswith("http"):
            name, _, anchor = target.partition("#")
            file = path.parent / name if name else path
            assert file.exists(), target
            assert not anchor or anchor in anchors(file.read_text()), target


def test_the_commands_of_the_pages_are_accepted() -> None:
    commands = [
        shlex.split(code.partition("python -m pipeline ")[2])
        for code in re.findall(r"`([^`]*python -m pipeline [a-z][^`]*)`", (GUIDE + TROUBLE).replace("\\\n", " "))
        if "..." not in code
    ]
    assert len(commands) >= 12
    for verb, *options in commands:
        found = get_command(app).commands[verb]  # type: ignore[attr-defined]
        if hasattr(found, "commands"):
            found.commands[options[0]].make_context(options[0], options[1:])
        else:
            found.make_context(verb, options)


@pytest.mark.parametrize("name", ["resnet18", "resnet18-plateau", "branch-cnn", "even-odd"])
def test_the_settings_that_the_guide_gives_are_those_of_the_recipe(name: str) -> None:
    titles = {
        "resnet18": "DigitRecognition ResNet18", "resnet18-plateau": "resnet18-mnist",
        "branch-cnn": "MNIST Digit Classification", "even-odd": "MNIST Even/Odd",
    }  # fmt: skip
    section = GUIDE.partition(f"\n## {titles[name]}\n")[2].partition("\n## ")[0]
    settings = load_recipe(name).model_dump(mode="json")
    ours = [line.split(" | ")[-1] for line in section.splitlines() if line.startswith("| ")]
    given = [yaml.safe_load(code) for cell in ours for code in re.findall(r"`(\w+: [^`]+)`", cell)]
    assert len(given) >= 4
    for mapping in given:
        for key, value in mapping.items():
            assert settings[key] == (float(value) if isinstance(settings[key], float) else value), key


def test_the_overrides_that_the_pages_name_exist() -> None:
    keys = set(re.findall(r"--set \"?(\w+)=", GUIDE + TROUBLE))
    assert len(keys) >= 10
    assert keys <= set(Recipe.model_fields) | set(FineTuning.model_fields)


def test_the_guide_names_only_what_the_classifier_has() -> None:
    section = GUIDE.partition("\n## MNIST Handwritten Digit Classifier\n")[2].partition("\n## ")[0]
    names = set(re.findall(r"(?:classifier|\)|`)\.?((?:plot|show|save|load|set|predict)_\w+)\(", section))
    assert len(names) >= 6
    assert all(hasattr(MNISTClassifier, name) for name in names)
    parameters = set(re.findall(r"[(, `](\w+)=", " ".join(re.findall(r"`MNISTClassifier\(.*?\)`", section))))
    assert len(parameters) >= 8
    assert parameters <= set(MNISTClassifier().get_params())


def test_the_citation_file_is_valid_yaml_with_the_required_keys() -> None:
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert f'version = "{citation["version"]}"' in (PROJECT / "pyproject.toml").read_text()
