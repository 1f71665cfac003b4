"""`reve doctor`: check this machine and the network, and say what to do about each problem.

Open doctor.py first: it lists the checks in order. Each check is a function of the same name: in checks.py if it looks
at this machine, in probes.py if it asks the network, in completion.py for the shell. A check yields findings
(findings.py). Only commands/doctor.py uses this package; it calls `doctor.examine`.
"""
