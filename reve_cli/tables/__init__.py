"""Reads a file into numbered rows: bytes, encoding, format, header, rows. It knows nothing of images or money.

Open `reading` first. `encoding` makes text of the bytes, `formats` says which format they have, and `text`,
`delimited`, `jsonrows` and `sheets` each read one kind of file. `columns` says which column is which field.
`record` writes a table again, with results.
"""
