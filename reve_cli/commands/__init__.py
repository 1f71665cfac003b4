"""The commands: one short module for each, named after the command.

Each one parses its arguments, calls a function in `actions`, `album`, `batch`, `doctor` or `help`, and returns the exit
code. Open `status.py` first: it is a whole command. `root.py` names them all; a command's module is imported only when
the command is used. To add a command: write its module, add its name to `root.py`, and give its docstring a summary
that fits one line and an `Examples:` block (tests check both and run the examples).
"""
