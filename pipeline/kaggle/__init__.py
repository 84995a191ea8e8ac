"""Kaggle: the competition, its submissions and their scores."""
