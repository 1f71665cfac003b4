"""The `terminal` package."""
