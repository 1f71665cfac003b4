"""Names and limits that the API publishes. Constants only, because even `--help` loads this module.

May import: nothing of ours.
"""

GENERATE_PATH = "/v2/images/generate"
DEFAULT_MODEL = "reve-create"
ASPECT_RATIOS = ("16:9", "9:16", "3:2", "2:3", "4:3", "3:4", "1:1")
WEBHOOK_EVENTS = ("progress", "completed", "failed")
JOB_STATUSES = ("QUEUED", "PROCESSING", "COMPLETED", "FAILED", "CANCELLED")
PROMPT_LIMIT = 2000  # in UTF-16 code units: the server counts an emoji as two
SEED_LIMIT = 2**53 - 1  # either side of zero: the largest integer that JSON readers such as jq hold exactly
IDEMPOTENCY_KEY_LIMIT = 255
KEY_PREFIX = "afk_"
CONSOLE = "https://console.apiframe.ai"
"""Where users get keys and credits."""
