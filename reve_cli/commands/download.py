"""`reve download`: save the images of jobs that have ended."""

from reve_cli import inputs, options
from reve_cli.models import Task
from reve_cli.runtime import Runtime, api_command


@api_command
def download(run: Runtime, jobs: options.JobIds, out: options.Out = None, force: options.Force = False) -> int:
    """Save the images of jobs that have ended."""
    from reve_cli.jobs import Goal

    tasks = [Task(index, "accepted", job_id=job) for index, job in enumerate(inputs.read_job_ids(jobs), start=1)]
    naming = run.naming(out, jobs=len(tasks), force=force)
    naming.check(tasks)
    return run.run(tasks, Goal.SAVED_IF_ENDED, "bytes" if naming.to_stdout else "paths", naming)
