"""What is needed to receive HTTP requests on this machine: a server in threads, and how the API signs its webhooks.

Open `server.py` first. Other packages use `Server` and its `Request` and `Answer`; and `verify` and `sign` from
`signatures.py`.
"""
