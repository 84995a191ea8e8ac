"""Training: from a recipe and a data source to a finished run."""
