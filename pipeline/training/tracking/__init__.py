"""Logs of training runs: training.log, TensorBoard events, and experiment trackers."""
