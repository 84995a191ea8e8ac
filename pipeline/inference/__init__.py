"""Inference: predictors, and predictions for any number of files."""
