"""Confidence intervals of accuracies."""

import math


def wilson_interval(correct: int, rows: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of an accuracy (Wilson 1927), valid near 1 and for few rows too."""
    z = 1.959964
    middle = (correct + z * z / 2) / (rows + z * z)
    half = z / (rows + z * z) * math.sqrt(correct * (rows - correct) / rows + z * z / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def format_accuracy(correct: int, rows: int) -> str:
    """Return an accuracy formatted with its 95 % interval and its counts."""
    low, high = wilson_interval(correct, rows)
    return f"{correct / rows:.2%} (95% interval {low:.2%} to {high:.2%}; {correct:,} of {rows:,} right)"
