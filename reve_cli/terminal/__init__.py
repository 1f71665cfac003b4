"""Prints everything that the program prints.

Open `output.py` first: `Output` is the printer that every command gets. It writes data to stdout and everything else to
stderr. Other packages also use `text` (text made safe for terminals and shells) and `streams` (which standard streams
are terminals). `tables`, `live`, `styles` and `secret` serve `Output` only. rich is imported in this package alone.
`viewing` shows saved images: `query` asks the terminal what it can show, and `graphics` makes the escape sequences.
"""
