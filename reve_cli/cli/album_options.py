"""The options of `show`, `rerun` and `gallery` alone. May import: cli.checks, cli.completers, core."""

from typing import Annotated

import typer

from reve_cli.cli import checks, completers
from reve_cli.core.contract import ASPECT_RATIOS

Image = Annotated[
    str | None,
    typer.Argument(
        metavar="[IMAGE|JOB]",
        help="An image file; or a job, of which the first characters are enough (default: last, the newest job).",
        autocompletion=completers.images_and_jobs,
    ),
]
Yes = Annotated[
    bool,
    typer.Option("--yes", "-y", help="Do not ask before using a simulated image or one of another tool."),
]
Folder = Annotated[
    str | None,
    typer.Argument(
        metavar="[DIR]", help="Folder of images (default: the setting output_folder, else the current folder)."
    ),
]
FromHistory = Annotated[
    bool, typer.Option("--history", help="Show the images of the journal's jobs.", rich_help_panel="Filter")
]
PageOut = Annotated[
    str | None,
    typer.Option(
        "--out",
        "-o",
        metavar="PATH",
        help="Path of the page (default: gallery.html in DIR; with --history, in the current folder).",
        rich_help_panel="Output",
    ),
]

Seed = Annotated[
    str | None,
    typer.Option(
        "--seed",
        metavar="N|random|none",
        help="Another seed. random chooses one and prints it; none sends none (default: that of the image).",
        callback=checks.seed,
        rich_help_panel="Image",
    ),
]
AspectRatio = Annotated[
    str | None,
    typer.Option(
        "--aspect-ratio",
        "--ar",
        metavar="W:H",
        help=f"One of {', '.join(ASPECT_RATIOS)} (default: that of the image).",
        autocompletion=completers.among(ASPECT_RATIOS),
        rich_help_panel="Image",
    ),
]
ModelVersion = Annotated[
    str | None,
    typer.Option(
        "--model-version",
        metavar="NAME",
        help="Version of the model (default: that of the image).",
        rich_help_panel="Image",
    ),
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Model to use (default: that of the image).", rich_help_panel="Image"),
]
