"""The `doctor` package."""
