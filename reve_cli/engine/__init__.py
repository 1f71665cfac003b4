"""Take jobs from a request to saved images: submit, wait, save, and continue what an earlier process left unfinished.

Open `engine.py` first: its loop starts the work. Where reve decides:
- when to poll, and when a job counts as lost: `waiting.py` (intervals: `schedule.py`; requests: `polling.py`)
- what an answer means, and which jobs are submitted again with a new key: `outcomes.py`
- which requests `resume` sends again with the same key: `unfinished.py`
- where an image goes: `naming.py` before payment, `saving.py` after it; `publishing.py` writes the file
Other packages use `Engine`, `Saver`, `Naming`, `Inbox`, `Plan`, `adopt` and the commands of `recovery.py`.
"""
