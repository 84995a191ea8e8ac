"""Configuration: recipes, their settings, and the validation of both."""
