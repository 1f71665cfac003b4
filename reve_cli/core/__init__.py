"""What every other package uses: errors, jobs and tasks, time, signals, locks. Nothing here prints.

Open `tasks.py` first (one image job of a command), then `models.py` (the API's requests and jobs), `errors.py` (error
codes and exit codes) and `endings.py` (the error that a job ends with).
Other packages use `Task`, `ImageRequest`, `Job`, `ReveError`, `Clock`, `Deadline`, `Stop`, `Process`, `FileLock`.
"""
