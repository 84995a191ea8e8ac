"""Optimizers, their learning-rate schedulers, and Muon."""
