"""What is needed to receive HTTP requests on this machine.

Open `signatures.py` for how the API signs its webhooks. Other packages use `verify` and `sign`.
"""
