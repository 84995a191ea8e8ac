"""Reports on runs: scores, figures and pages of mistakes."""
