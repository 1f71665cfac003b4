"""The `cli` package."""
