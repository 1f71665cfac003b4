"""`reve batch`: a list of prompts becomes a folder of images."""

from typing import TYPE_CHECKING

from reve_cli.cli import batch_options, command, options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.api_command
def batch(
    run: "Runtime",
    file: batch_options.File,
    out: batch_options.Out = None,
    force: options.Force = False,
    metadata: options.Metadata = None,
    quality: options.Quality = None,
    format: batch_options.Format = None,
    encoding: batch_options.Encoding = None,
    column: batch_options.Column = None,
    strip: batch_options.Strip = False,
    seeds: batch_options.Seeds = None,
    ratios: batch_options.Ratios = None,
    seed: batch_options.Seed = None,
    aspect_ratio: options.AspectRatio = None,
    model_version: options.ModelVersion = None,
    model: options.Model = None,
    run_name: batch_options.RunName = None,
    new: batch_options.New = False,
    shard: batch_options.Shard = None,
    retries: batch_options.Retries = 3,
    fail_fast: batch_options.FailFast = False,
    max_failures: batch_options.MaxFailures = None,
    max_credits: options.MaxCredits = None,
    rate: batch_options.Rate = None,
    concurrency: batch_options.Concurrency = 2000,
    webhook_url: options.WebhookUrl = None,
    listen: options.Listen = None,
    dry_run: batch_options.DryRun = False,
    report: batch_options.Report = None,
    gallery: batch_options.Gallery = False,
) -> int:
    """Generate an image for every line of a file. Running it again makes only what is missing.

    Examples:
        printf '%s\\n' "a red fox" "a blue fox" > prompts.txt
        reve batch prompts.txt --out foxes/
        reve batch prompts.txt --out foxes/ --seeds 1-2 --ratios 1:1,16:9
        reve batch prompts.txt --out tried/ --gallery --sandbox
        printf 'prompt,seed,out\\na fox,7,fox.png\\n' | reve batch - --format csv
    """
    from reve_cli.album import live_page
    from reve_cli.batch import items
    from reve_cli.batch.run import Wishes, make
    from reve_cli.batch.supply import Webhook
    from reve_cli.inputs.reading import announce_stdin, events_for, note_seed

    run.choose_style(metadata, quality)
    announce_stdin(run, [file], "a prompt a line")
    note_seed(seed, run.output.note)
    multiples = items.Multiples.of(seeds, ratios, seed)
    wishes = Wishes(
        source=items.Source.of(file, format=format, encoding=encoding, columns=column or (), strip=strip),
        defaults=items.defaults(run.defaults, multiples, model, model_version, aspect_ratio, seed),
        multiples=multiples, out=out, force=force, new=new, retries=retries, dry_run=dry_run, report=report,
        run=items.run_name(run_name, shard, new=new),
        shard=items.shard_of(shard),
        max_failures=1 if fail_fast else max_failures,
        max_credits=max_credits,
        rate=items.rate_of(rate),
        in_flight=concurrency,
        page=live_page(run, force=force) if gallery else None,
        webhook=Webhook(webhook_url, events_for(run, webhook_url, None, listen), listen),
    )  # fmt: skip
    return make(run, wishes)
