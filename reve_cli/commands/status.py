"""`reve status`: the current state of jobs. May import: cli, core; the rest late."""

from typing import TYPE_CHECKING

from reve_cli.cli import command, options
from reve_cli.core.errors import worst

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.api_command
def status(run: "Runtime", jobs: options.JobIds, exit_status: options.ExitStatus = False) -> int:
    """Show the current state of jobs.

    Examples:
        reve status "$job"
        reve generate "a fox" --no-wait --sandbox && reve status last --sandbox
        reve status "$job" --json | jq -r .status
    """
    from reve_cli.actions.drive import follow
    from reve_cli.actions.jobs import show_status
    from reve_cli.inputs.reading import earlier_jobs

    tasks = earlier_jobs(run, jobs)
    code = follow(run, tasks, "seen", "rows")
    found = [task.job for task in tasks if task.job and not task.error]
    if not run.output.json:
        show_status(run, found)
    if not exit_status:
        return code
    states = {"COMPLETED": 0, "FAILED": 5, "CANCELLED": 5}
    return worst([code, *(states.get(job.status, 75) for job in found)])
