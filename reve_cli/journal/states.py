"""The states of a row in the journal, by name. Constants only: completion loads this. Imports nothing.

    intent → sending → accepted → completed → saved

intent: to be sent. sending: sent, or about to be, and not answered as far as we know. accepted: the API made a job.
completed: the job's images are there to be had. saved: they are on disk. refused: the API did not take the request.
abandoned: it was given up, as nothing was accepted or as the user said so. failed: the job FAILED or was CANCELLED.
expired: the server has purged the images. mismatch: the key was another request's.
"""

OPEN = ("intent", "sending", "accepted", "completed")
CLOSED = ("saved", "refused", "abandoned", "failed", "expired", "mismatch")
BEGUN = ("sending", "accepted", "completed", "saved", "expired")
"""States in which something was charged, or may be."""
FREE = ("refused", "abandoned", "failed", "mismatch")
"""States in which nothing was charged, unless the user has closed what may have been."""
UNFINISHED = "(state IN ('intent', 'sending') OR (state IN ('accepted', 'completed') AND out IS NOT NULL))"
"""What is still to be done, in SQL: a job that was left to run (no output) is done with once it is accepted."""
