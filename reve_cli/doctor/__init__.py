"""`reve doctor`: check this machine and the network, and say what to do about each problem.

Open doctor.py first: it lists the checks in order, each with its function. The functions are in checks.py (this
machine), probes.py (the network) and completion.py (the shell), and yield findings (findings.py). Only
commands/doctor.py uses this package; it calls `doctor.examine`.
"""
