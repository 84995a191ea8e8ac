"""Metrics: accuracy, calibration, confidence intervals, label errors."""
