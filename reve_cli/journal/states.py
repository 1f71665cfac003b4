"""Names in the journal, above all the states of a row. Constants only, because shell completion loads this module.

    intent → sending → accepted → completed → saved

intent      the request is not sent yet
sending     the request is being sent, or was sent without an answer; it may be charged
accepted    the API created a job
completed   the job has ended and its images can be saved
saved       the images are on disk
refused     the API rejected the request
abandoned   the request was given up: the API did not accept it, or the user closed it
failed      the job ended as FAILED or CANCELLED
expired     the server deleted the images
mismatch    the idempotency key belongs to another request

May import: nothing of ours.
"""

FILE = "journal.db"
"""The name of the journal's file."""
LAST = "last"
"""The name of the newest job begun on this machine."""

OPEN = ("intent", "sending", "accepted", "completed")
CLOSED = ("saved", "refused", "abandoned", "failed", "expired", "mismatch")
BEGUN = ("sending", "accepted", "completed", "saved", "expired")  # charged, or possibly charged
FREE = ("refused", "abandoned", "failed", "mismatch")  # not charged, unless the user closed a possible charge
UNFINISHED = "(state IN ('intent', 'sending') OR (state IN ('accepted', 'completed') AND out IS NOT NULL))"
"""SQL condition: the job still has to be sent, or its images saved. Without an output, an accepted job is finished."""
