"""The `batch` package."""
