"""`reve rerun`: make an image again. May import: cli; the rest late."""

from typing import TYPE_CHECKING

from reve_cli.cli import command, options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.api_command
def rerun(
    run: "Runtime",
    image: options.Image = None,
    out: options.Out = None,
    force: options.Force = False,
    preview: options.Preview = None,
    open_: options.Open = False,
    metadata: options.Metadata = None,
    quality: options.Quality = None,
    seed: options.OtherSeed = None,
    count: options.Count = 1,
    aspect_ratio: options.OtherAspectRatio = None,
    model_version: options.OtherModelVersion = None,
    model: options.OtherModel = None,
    dry_run: options.DryRun = False,
    once: options.Once = None,
    new: options.New = False,
    max_credits: options.MaxCredits = None,
    yes: options.Yes = False,
) -> int:
    """Make an image again, with the same request or with changes.

    The new image is charged. It is saved where reve generate would save it, and the old file is kept.

    Examples:
        reve rerun "$file"
        reve rerun last --seed random --count 2
        reve rerun "$job" --ar 16:9 --out wide.png --dry-run
        reve generate "a fox" --out fox.png --sandbox && reve rerun last --sandbox
    """
    from reve_cli.actions.looking import looker
    from reve_cli.album import rerun as action
    from reve_cli.inputs.reading import note_seed

    run.limit_as_project_says()
    run.choose_style(metadata, quality)
    note_seed(seed, run.output.note)
    changes = action.Changes(seed, aspect_ratio, model_version, model, count)
    wishes = action.Wishes(out, force, once, new, max_credits, dry_run, agreed=yes)
    look = looker(run, preview, open_, saves=out != "-")
    return action.rerun(run, image, changes, wishes, look)
