"""The `actions` package."""
