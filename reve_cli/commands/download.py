"""`reve download`: save the images of finished jobs. May import: cli; the rest late."""

from typing import TYPE_CHECKING

from reve_cli.cli import command, options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.api_command
def download(
    run: "Runtime",
    jobs: options.JobIds,
    out: options.Out = None,
    force: options.Force = False,
    metadata: options.Metadata = None,
    quality: options.Quality = None,
) -> int:
    """Save the images of finished jobs.

    Examples:
        reve download "$job" --out 'again-{job}.{ext}'
        reve generate "a fox" --sandbox && reve download last --force --sandbox
    """
    from reve_cli.actions.drive import follow, keeping_piped_jobs
    from reve_cli.inputs.reading import earlier_jobs

    run.choose_style(metadata, quality)
    tasks = earlier_jobs(run, jobs)
    with keeping_piped_jobs(run, tasks if "-" in jobs else [], "download"):
        naming = run.naming(out, tasks, force=force)
        naming.check(tasks)
    return follow(run, tasks, "saved if ended", "bytes" if naming.to_stdout else "paths", naming)
