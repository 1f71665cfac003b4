"""`reve wait`: wait for jobs to end. May import: cli; the rest late."""

from typing import TYPE_CHECKING

from reve_cli.cli import command, options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.api_command
def wait(run: "Runtime", jobs: options.JobIds, out: options.Out = None, force: options.Force = False) -> int:
    """Wait until all jobs have ended. With --out, save their images.

    Examples:
        reve wait "$job"
        reve generate "a fox" --no-wait --sandbox && reve wait last --sandbox
        reve generate "a fox" --count 3 --no-wait | reve wait - --out fox.png
    """
    from reve_cli.actions.drive import follow, keeping_piped_jobs
    from reve_cli.actions.inputs import earlier_jobs

    tasks = earlier_jobs(run, jobs)
    if out is None:
        return follow(run, tasks, "ended", "urls")
    with keeping_piped_jobs(run, tasks if "-" in jobs else [], "wait"):
        naming = run.naming(out, tasks, force=force)
        naming.check(tasks)
    return follow(run, tasks, "saved", "bytes" if naming.to_stdout else "paths", naming)
