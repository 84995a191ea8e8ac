"""Reading: from a picture to its numbers."""
