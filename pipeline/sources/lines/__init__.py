"""Lines: numbers of touching digits, joined at random, to train the line network."""
