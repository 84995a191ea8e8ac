"""Digit Recognizer: train a network on handwritten digits, predict, and write a submission for Kaggle.

The names in `__all__` are the public interface. Each name, and torch with it, is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.utils.plotting import drop_missing_backend

if TYPE_CHECKING:
    from pipeline.card import Card, Epoch
    from pipeline.config.recipe import Recipe
    from pipeline.data.csv_file import CsvFile
    from pipeline.data.table import DigitTable, Fingerprint
    from pipeline.errors import UserError
    from pipeline.estimator.classifier import MNISTClassifier
    from pipeline.export.hub import upload_to_hub
    from pipeline.flow import Submission, submit
    from pipeline.inference.activations import Activations, Cell, Layer
    from pipeline.inference.corrections import keep_correction, read_corrections
    from pipeline.inference.predictions import Predictions, Reading
    from pipeline.inference.predictor import Predictor
    from pipeline.metrics.label_errors import LabelError, label_errors
    from pipeline.metrics.score import Score, score
    from pipeline.reports.evaluate import evaluate
    from pipeline.run import Run
    from pipeline.sources.find import find_source
    from pipeline.sources.source import Source
    from pipeline.training.train import train
    from pipeline.vision.frame import Glyph, Sign, glyphs

MODULE_BY_NAME = {
    "Activations": "inference.activations",
    "Card": "card",
    "Cell": "inference.activations",
    "CsvFile": "data.csv_file",
    "DigitTable": "data.table",
    "Epoch": "card",
    "Fingerprint": "data.table",
    "Glyph": "vision.frame",
    "LabelError": "metrics.label_errors",
    "Layer": "inference.activations",
    "MNISTClassifier": "estimator.classifier",
    "Predictions": "inference.predictions",
    "Predictor": "inference.predictor",
    "Reading": "inference.predictions",
    "Recipe": "config.recipe",
    "Run": "run",
    "Score": "metrics.score",
    "Sign": "vision.frame",
    "Source": "sources.source",
    "Submission": "flow",
    "UserError": "errors",
    "evaluate": "reports.evaluate",
    "find_source": "sources.find",
    "glyphs": "vision.frame",
    "keep_correction": "inference.corrections",
    "label_errors": "metrics.label_errors",
    "read_corrections": "inference.corrections",
    "score": "metrics.score",
    "submit": "flow",
    "train": "training.train",
    "upload_to_hub": "export.hub",
}

__all__ = [
    "Activations",
    "Card",
    "Cell",
    "CsvFile",
    "DigitTable",
    "Epoch",
    "Fingerprint",
    "Glyph",
    "LabelError",
    "Layer",
    "MNISTClassifier",
    "Predictions",
    "Predictor",
    "Reading",
    "Recipe",
    "Run",
    "Score",
    "Sign",
    "Source",
    "Submission",
    "UserError",
    "evaluate",
    "find_source",
    "glyphs",
    "keep_correction",
    "label_errors",
    "read_corrections",
    "score",
    "submit",
    "train",
    "upload_to_hub",
]

drop_missing_backend()  # before anything that is imported later imports matplotlib


def __getattr__(name: str) -> Any:
    if name not in MODULE_BY_NAME:
        raise AttributeError(f"module 'pipeline' has no attribute '{name}'")
    return getattr(import_module(f"pipeline.{MODULE_BY_NAME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
