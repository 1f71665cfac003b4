"""`reve status`: where jobs stand now."""

from reve_cli import inputs, options
from reve_cli.errors import worst
from reve_cli.models import Task
from reve_cli.runtime import Runtime, api_command


@api_command
def status(run: Runtime, jobs: options.JobIds, exit_status: options.ExitStatus = False) -> int:
    """Show where jobs stand now."""
    from reve_cli.jobs import Goal

    tasks = [Task(index, "accepted", job_id=job) for index, job in enumerate(inputs.read_job_ids(jobs), start=1)]
    code = run.run(tasks, Goal.SEEN, "rows", None)
    found = [task.job for task in tasks if task.job and not task.error]
    if not run.output.json and found:
        headers = ("JOB", "STATUS", "PROGRESS", "CREDITS", "CREATED", "PROMPT")
        run.output.table(headers, [job.row() for job in found])
    if not exit_status:
        return code
    states = {"COMPLETED": 0, "FAILED": 5, "CANCELLED": 5}
    return worst([code, *(states.get(job.status, 75) for job in found)])
