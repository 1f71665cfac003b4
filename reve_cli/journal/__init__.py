"""The journal: an SQLite file that records every image job before it is paid for, so that no crash loses or repays one.

Open `ledger.py` first: it writes each step of a command's tasks. `journal.py` has the queries, `database.py` the file,
`runs.py` the owner of each run, `spending.py` the caps, `events.py` the webhook events.
Other packages use `Ledger`, `Journal`, `open_journal`, `Row`, `Run`, `Caps`, `JournalError`, and the constants in
`states.py`.
"""
