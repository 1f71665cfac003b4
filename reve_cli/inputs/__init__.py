"""What users give, read and checked before anything is sent: prompts, seeds, job ids, times, webhook events.

Open `reading.py` first; `foreign.py` finds text that is surely not a prompt, and `when.py` reads times. Used by the
commands and by whatever works for them: `actions`, `batch`, `album`, `webhooks`.
"""
