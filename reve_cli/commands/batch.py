"""`reve batch`: a list of prompts becomes a folder of images."""

from typing import TYPE_CHECKING

from reve_cli import options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@options.api_command
def batch(
    run: "Runtime",
    file: options.BatchFile,
    out: options.BatchOut = None,
    force: options.Force = False,
    format: options.Format = None,
    seeds: options.Seeds = None,
    ratios: options.Ratios = None,
    seed: options.Seed = None,
    aspect_ratio: options.AspectRatio = None,
    model_version: options.ModelVersion = None,
    model: options.Model = None,
    run_name: options.RunName = None,
    new: options.StartOver = False,
    shard: options.Shard = None,
    retries: options.Retries = 3,
    fail_fast: options.FailFast = False,
    max_failures: options.MaxFailures = None,
    max_credits: options.MaxCredits = None,
    rate: options.Rate = None,
    concurrency: options.Concurrency = 500,
    dry_run: options.DryRun = False,
) -> int:
    """Make an image of each line of a file, as fast as the API lets you, and only those that are missing."""
    from reve_cli import items
    from reve_cli.batch import Wishes, make

    return make(
        run,
        Wishes(
            file=file,
            kind=items.format_of(file, format),
            defaults=items.defaults(run.settings, model, model_version, aspect_ratio, seed),
            multiples=items.Multiples.of(seeds, ratios),
            out=out,
            force=force,
            run=items.run_name(run_name, shard),
            new=new,
            shard=items.shard_of(shard),
            retries=retries,
            max_failures=1 if fail_fast else max_failures,
            max_credits=max_credits,
            rate=items.rate_of(rate),
            in_flight=concurrency,
            dry_run=dry_run,
        ),
    )
