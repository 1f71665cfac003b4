"""How a command line is read: options, command wrappers, usage errors and shell completion.

Open `command.py` first: it gives each command its `Runtime` and the common options. `commands` uses `command`,
`options`, `batch_options`, `lazy` and `scripts`; `app` uses `completion`, `flags`, `usage` and `version`. `recent`
offers jobs of the journal to completion.
"""
