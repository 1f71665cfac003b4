"""The work of the commands: one module for each command that has more to do than parse and call.

Open `generate.py` first; `drive.py` runs the engine for every command about jobs, and `report.py` prints what happens.
`commands` uses the function named after the command; `batch` also uses `drive`, and `generate`'s spending
caps and dry run.
"""
