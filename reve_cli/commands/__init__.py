"""The commands: one short module for each, named after the command.

Each one parses its arguments, calls a function in `actions`, `batch`, `doctor` or `help`, and returns the exit code.
Open `status.py` first: it is a whole command. `app.py` registers them. To add a command: write its module, register it
in `app.py`, and give its docstring a summary that fits one line and an `Examples:` block (tests check both and run the
examples).
"""
