"""Data sources: where digits come from."""
