"""Vision: from a picture to framed digits."""
