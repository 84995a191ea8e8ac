"""Export runs to the formats of other programs, and import the weights of others."""
