"""Reports on runs: scores, figures, mistakes."""
