"""Training: from a recipe and a source to a finished run."""
