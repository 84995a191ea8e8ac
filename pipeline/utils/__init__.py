"""Utilities that know nothing of digits."""
