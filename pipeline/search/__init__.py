"""Hyperparameter search: studies, trials, search spaces."""
