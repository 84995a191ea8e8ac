"""Drawings: pen strokes of digits and signs, recorded or made from variants, and their rendering."""
