"""`reve generate`: submit, wait, save. May import: cli, core; the rest late."""

from typing import TYPE_CHECKING

from reve_cli.cli import command, options

if TYPE_CHECKING:
    from reve_cli.runtime import Runtime


@command.api_command
def generate(
    run: "Runtime",
    prompt: options.Prompt = None,
    prompt_file: options.PromptFile = None,
    out: options.Out = None,
    force: options.Force = False,
    preview: options.Preview = None,
    open_: options.Open = False,
    metadata: options.Metadata = None,
    quality: options.Quality = None,
    seed: options.Seed = None,
    count: options.Count = 1,
    aspect_ratio: options.AspectRatio = None,
    model_version: options.ModelVersion = None,
    model: options.Model = None,
    webhook_url: options.WebhookUrl = None,
    webhook_event: options.WebhookEvent = None,
    listen: options.Listen = None,
    no_wait: options.NoWait = False,
    dry_run: options.DryRun = False,
    idempotency_key: options.IdempotencyKey = None,
    once: options.Once = None,
    new: options.New = False,
    max_credits: options.MaxCredits = None,
) -> int:
    """Generate images from a prompt and save them.

    Examples:
        reve generate "a lighthouse at dusk" --ar 16:9 --seed 42
        reve generate "a fox" --count 4 --seed 10 --out 'fox-{seed}.{ext}'
        echo "a loud harbor" | reve generate - --out harbor.png
        reve generate "a fox" --json | jq -r '.files[].path'
        reve generate "a fox" --count 4 --max-credits 20
        reve generate "a fox" --out tried.png --sandbox
    """
    from reve_cli.core.models import ImageRequest
    from reve_cli.inputs import reading

    run.limit_as_project_says()
    reading.announce_stdin(run, [prompt, prompt_file], "the prompt")
    request = ImageRequest.of_typed(
        reading.read_prompt(prompt, prompt_file, run.deadline),
        model=run.defaults.model if model is None else model,
        aspect_ratio=run.defaults.aspect_ratio if aspect_ratio is None else aspect_ratio,
        version=run.defaults.model_version if model_version is None else model_version,
        webhook_url=webhook_url,
        webhook_events=reading.events_for(run, webhook_url, webhook_event, listen),
    )
    reading.note_seed(seed, run.output.note)
    seed = run.defaults.seed if seed is None else seed
    requests = reading.expand(request, seed, count, once or idempotency_key)
    tasks = reading.new_jobs(requests, idempotency_key, once, random_seed=seed == "random")
    run.choose_style(metadata, quality, saves=not no_wait or out is not None)
    naming = None if no_wait and out is None else run.naming(out, tasks, force=force)
    if no_wait:
        reading.check_handover(naming, webhook_url, force=force, listens=listen is not None)
    from reve_cli.actions import generate as action
    from reve_cli.actions.looking import looker
    from reve_cli.webhooks import listen_meanwhile

    look = looker(run, preview, open_, saves=bool(naming and not no_wait and not naming.to_stdout))
    if dry_run:
        if naming:
            naming.check(tasks)
        return action.show_requests(run, tasks, naming)
    listen_meanwhile(run, listen)
    return action.generate(run, tasks, naming, waits=not no_wait, new=new, max_credits=max_credits, look=look)
