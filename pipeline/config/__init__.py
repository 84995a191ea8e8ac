"""Configuration: recipes and their settings."""
