"""Talks to the Apiframe API, and fetches images from the URLs that it gives.

Open `endpoints.py` first: `Api` has a method for each endpoint. Below it, `sending` repeats a request until it is
answered, `judging` decides what an answer means, and `http` makes one exchange. Other packages use `endpoints`,
`download` (images), `accounts`, `origins` and `pace`; `doctor` also uses `network` and `judging`.
"""

import sys

# httpx imports its own command line, and click and rich with it: half of its import time. With this entry that import
# fails, and httpx continues as it does without its `cli` extra.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
