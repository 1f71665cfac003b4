"""The `help` package."""
