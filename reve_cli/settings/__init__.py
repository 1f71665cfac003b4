"""The user's settings and API key: where each value comes from, and changes to the config file.

Open settings.py first: the table of every setting. config.py finds their values (environment, project file, user file,
default); configfile.py changes the user file; credentials.py finds the API key; keychain.py talks to the system
keychain. Runtime uses `config.resolve` and `credentials.find_key`; commands use the rest.
"""
