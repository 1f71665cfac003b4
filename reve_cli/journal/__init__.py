"""The `journal` package."""
