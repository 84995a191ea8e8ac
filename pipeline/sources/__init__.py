"""Data sources: find, download and create the data sets."""
