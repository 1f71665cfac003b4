"""Generates an image for every line of a file, and on a later run only what is missing.

Open `run` first: it reads the file (`items`, `worklist`, `target`), looks at earlier runs (`earlier`, `manifest`) and
drives the engine. `supply` gives the engine items, `continuing` finds those begun before, `results` records how each
ended, and `tally` and `progress` count and print. `identity` says when two items are the same.
Others use `run.make`, the option parsers in `items` (the command), and `resumed.Finished` (`resume`).
"""
