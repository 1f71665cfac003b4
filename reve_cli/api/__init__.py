"""Talks to the Apiframe API, and fetches images from the URLs that it gives.

Open `endpoints.py` first: `Api` has a method for each endpoint. Below it, `sending` repeats a request until it is
answered, `judging` decides what an answer means, and `http` makes one exchange. Other packages use `endpoints`,
`download` (images), `accounts`, `formats`, `origins` and `pace`; `doctor` also uses `network` and `judging`.
"""

import sys

# httpx imports its own command line, and click and rich for it: half of its import time. Without, it does as it does
# where its `cli` extra is not installed.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
