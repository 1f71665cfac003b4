"""The `settings` package."""
