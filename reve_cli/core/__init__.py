"""The `core` package."""
