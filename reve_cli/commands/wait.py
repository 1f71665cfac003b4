"""`reve wait`: wait for jobs to end. May import: cli; the rest late."""

from typing import TYPE_CHECKING, Annotated

import typer

from reve_cli.cli import command, options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        "-o",
        metavar="PATH",
        help="Save the images to a file, an existing folder, a name template, or - for standard output (default: save"
        " none). See reve help templates.",
        rich_help_panel="Output",
    ),
]


@command.api_command
def wait(
    run: "Runtime",
    jobs: options.JobIds,
    out: Out = None,
    force: options.Force = False,
    preview: options.Preview = None,
    open_: options.Open = False,
    listen: options.Listen = None,
    metadata: options.Metadata = None,
    quality: options.Quality = None,
) -> int:
    """Wait until all jobs have ended. With --out, save their images.

    Examples:
        reve wait "$job"
        reve generate "a fox" --no-wait --sandbox && reve wait last --sandbox
        reve generate "a fox" --count 3 --no-wait | reve wait - --out fox.png
    """
    from reve_cli.actions.drive import follow, keeping_piped_jobs
    from reve_cli.actions.looking import looker
    from reve_cli.inputs.reading import earlier_jobs
    from reve_cli.webhooks import listen_meanwhile

    run.choose_style(metadata, quality, saves=out is not None)
    tasks = earlier_jobs(run, jobs)
    listen_meanwhile(run, listen)
    with keeping_piped_jobs(run, tasks if "-" in jobs else [], "wait"):
        look = looker(run, preview, open_, saves=out not in (None, "-"))
        naming = None if out is None else run.naming(out, tasks, force=force)
        if naming is not None:
            naming.check(tasks)
    if naming is None:
        return follow(run, tasks, "ended", "urls")
    return follow(run, tasks, "saved", "bytes" if naming.to_stdout else "paths", naming, look)
