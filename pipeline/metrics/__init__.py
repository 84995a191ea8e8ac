"""Metrics: accuracy, calibration, intervals, label errors."""
