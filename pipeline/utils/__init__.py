"""General utilities that do not depend on digits."""
