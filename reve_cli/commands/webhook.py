"""`reve webhook`: receive, check and send webhook events. May import: cli, core; the rest late."""

from typing import TYPE_CHECKING, Annotated

import typer

from reve_cli.cli import command, options
from reve_cli.cli.completers import among
from reve_cli.core.contract import WEBHOOK_EVENTS

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime

app = typer.Typer(
    help="Receive webhooks, check their signatures, and send test events.",
    callback=command.show_help,
    invoke_without_command=True,
    epilog="""
Examples:
    reve webhook listen --out pics/ --for "$job"
""",
)

_WHERE, _WHICH, _EVENT = "Where", "Which events", "Event"


Host = Annotated[
    str,
    typer.Option("--host", metavar="ADDRESS", help="Address to listen on.", rich_help_panel=_WHERE, show_default=True),
]
Port = Annotated[
    int,
    typer.Option(
        "--port",
        metavar="N",
        min=0,
        max=65535,
        help="Port to listen on; 0 picks a free port.",
        rich_help_panel=_WHERE,
    ),
]
Path = Annotated[
    str,
    typer.Option("--path", metavar="PATH", help="Path of the URL; other paths are refused.", rich_help_panel=_WHERE),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FOLDER",
        help="Also save the images of jobs without a path of their own, into this folder.",
        rich_help_panel="Output",
    ),
]
ForwardTo = Annotated[
    str | None,
    typer.Option(
        "--forward-to",
        metavar="URL",
        help="Forward each event to this URL: https, or http on this machine.",
        rich_help_panel="Output",
    ),
]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        metavar="EVENT",
        help=f"Print, count and forward only this event: {', '.join(WEBHOOK_EVENTS)}. Repeatable.",
        autocompletion=among(WEBHOOK_EVENTS),
        rich_help_panel=_WHICH,
    ),
]
For = Annotated[
    list[str] | None,
    typer.Option("--for", metavar="JOB", help="Stop when this job has ended. Repeatable.", rich_help_panel=_WHICH),
]
EventCount = Annotated[
    int | None,
    typer.Option("--count", "-n", metavar="N", min=1, help="Stop after N events.", rich_help_panel=_WHICH),
]
Event = Annotated[
    str,
    typer.Argument(metavar="EVENT", help=f"One of {', '.join(WEBHOOK_EVENTS)}.", autocompletion=among(WEBHOOK_EVENTS)),
]
To = Annotated[
    str, typer.Option("--to", metavar="URL", help="URL to send the event to: https, or http on this machine.")
]
OfJob = Annotated[
    str | None, typer.Option("--job", metavar="JOB", help="Id of the job (default: a new one).", rich_help_panel=_EVENT)
]
Times = Annotated[
    int, typer.Option("--times", metavar="N", min=1, max=1000, help="Send the event N times.", rich_help_panel=_EVENT)
]
Tamper = Annotated[bool, typer.Option("--tamper", help="Change the body after signing it.", rich_help_panel=_EVENT)]
Hex = Annotated[
    bool, typer.Option("--hex", help="Sign with the secret's hex text instead of its bytes.", rich_help_panel=_EVENT)
]
Body = Annotated[
    str | None,
    typer.Option("--body", metavar="FILE", help="Send this file instead of an example.", rich_help_panel=_EVENT),
]
Signature = Annotated[str | None, typer.Option("--signature", metavar="S", help="The value of X-Webhook-Signature.")]
Headers = Annotated[
    str | None,
    typer.Option("--headers", metavar="FILE", help="File with the headers, one per line, as curl -i prints them."),
]


@app.command()
@command.webhook_command
def listen(
    run: "Runtime",
    host: Host = "127.0.0.1",
    port: Port = 8787,
    path: Path = "/",
    out: Out = None,
    force: options.Force = False,
    forward_to: ForwardTo = None,
    event: Events = None,
    for_: For = None,
    count: EventCount = None,
) -> int:
    """Receive and print events, and save the images of their jobs.

    Examples:
        reve webhook listen --port 8788 --out pics/ --for "$job"
        reve generate "a fox" --no-wait --sandbox
        reve webhook listen --port 8788 --for last --sandbox
    """
    import contextlib

    from reve_cli.album import kept_page
    from reve_cli.batch.resumed import Finished
    from reve_cli.inputs.reading import check_events, full_ids
    from reve_cli.webhooks.listening import Wishes
    from reve_cli.webhooks.listening import listen as work

    check_events(event or ())
    jobs = full_ids(run, for_ or [])
    wishes = Wishes(host, port, path, out, force, forward_to, event or (), jobs, count)
    with contextlib.closing(Finished(run.is_simulated, lambda folder: kept_page(run, folder))) as finished:
        return work(run, wishes, finished)


@app.command()
@command.webhook_command
def verify(run: "Runtime", signature: Signature = None, headers: Headers = None) -> int:
    """Check the signature of an event on standard input.

    Standard input is the body, byte for byte. Exits with 0 if the signature is valid, else with 3.

    Examples:
        reve webhook verify --signature "$signature" < body.json
        reve webhook verify --headers headers.txt < body.json
    """
    from reve_cli.webhooks.trying import check

    return check(run, signature, headers)


@app.command()
@command.api_command
def send(
    run: "Runtime",
    event: Event,
    to: To,
    job: OfJob = None,
    times: Times = 1,
    tamper: Tamper = False,
    hex: Hex = False,
    body: Body = None,
) -> int:
    """Send a signed event to a URL, to try a receiver.

    reve signs the event with your API key, as the API does, and does not send the key itself. Exits with 0 if every
    answer is 2xx, else with 6.

    Examples:
        reve webhook listen --port 8789 --sandbox --count 1 2> listen.log &
        until grep -qs listening listen.log; do sleep 0.1; done
        reve webhook send completed --to http://127.0.0.1:8789/ --sandbox
        wait
    """
    from reve_cli.inputs.reading import check_events
    from reve_cli.webhooks.trying import Trial
    from reve_cli.webhooks.trying import send as work

    check_events([event])
    return work(run, Trial(event, to, job, times, tamper, hex, body))
