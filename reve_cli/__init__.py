"""reve: make images with the Reve model through the Apiframe API, from a shell, a CI job or a pipe.

May import: nothing, so that `reve --version` and shell completion start fast.
"""

__version__ = "0.1.0"
