"""reve: images from the Reve model on the Apiframe API, from a shell, a CI job or a pipe.

Nothing is imported here: `reve --version` and shell completion load as little as they can.
"""

__version__ = "0.1.0"
