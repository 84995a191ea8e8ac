"""Digit Recognizer: one trained predictor, from train.csv to a Kaggle score.

The names below are the library; each is imported, and torch with it, when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.checkpoint import Card, Epoch, Run
    from pipeline.classifier import MNISTClassifier
    from pipeline.confident_learning import LabelError, label_errors
    from pipeline.corrections import keep_correction, read_corrections
    from pipeline.errors import UserError
    from pipeline.evaluation import evaluate
    from pipeline.framing import Glyph, glyphs
    from pipeline.predictor import Predictions, Predictor, Reading
    from pipeline.recipe import Recipe
    from pipeline.scoring import Score, score
    from pipeline.sources import Source, find_source
    from pipeline.table import DigitTable, Fingerprint
    from pipeline.table_files import CsvFile
    from pipeline.trainers import train

ROOMS = {
    "Card": "checkpoint",
    "CsvFile": "table_files",
    "DigitTable": "table",
    "Epoch": "checkpoint",
    "Fingerprint": "table",
    "Glyph": "framing",
    "LabelError": "confident_learning",
    "MNISTClassifier": "classifier",
    "Predictions": "predictor",
    "Predictor": "predictor",
    "Reading": "predictor",
    "Recipe": "recipe",
    "Run": "checkpoint",
    "Score": "scoring",
    "Source": "sources",
    "UserError": "errors",
    "evaluate": "evaluation",
    "find_source": "sources",
    "glyphs": "framing",
    "keep_correction": "corrections",
    "label_errors": "confident_learning",
    "read_corrections": "corrections",
    "score": "scoring",
    "train": "trainers",
}

__all__ = [
    "Card",
    "CsvFile",
    "DigitTable",
    "Epoch",
    "Fingerprint",
    "Glyph",
    "LabelError",
    "MNISTClassifier",
    "Predictions",
    "Predictor",
    "Reading",
    "Recipe",
    "Run",
    "Score",
    "Source",
    "UserError",
    "evaluate",
    "find_source",
    "glyphs",
    "keep_correction",
    "label_errors",
    "read_corrections",
    "score",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in ROOMS:
        raise AttributeError(f"module 'pipeline' has no attribute '{name}'")
    return getattr(import_module(f"pipeline.{ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return __all__
