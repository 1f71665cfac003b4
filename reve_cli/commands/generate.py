"""`reve generate`: submit, wait, save."""

from uuid import uuid4

from reve_cli import inputs, options
from reve_cli.errors import ReveError
from reve_cli.models import ImageRequest, Task
from reve_cli.runtime import Runtime, api_command


@api_command
def generate(
    run: Runtime,
    prompt: options.Prompt = None,
    prompt_file: options.PromptFile = None,
    out: options.Out = None,
    force: options.Force = False,
    seed: options.Seed = None,
    count: options.Count = 1,
    aspect_ratio: options.AspectRatio = None,
    model_version: options.ModelVersion = None,
    model: options.Model = None,
    webhook_url: options.WebhookUrl = None,
    webhook_event: options.WebhookEvent = None,
    no_wait: options.NoWait = False,
    dry_run: options.DryRun = False,
    idempotency_key: options.IdempotencyKey = None,
) -> int:
    """Make an image: submit the prompt, wait for the job, save what it made."""
    request = ImageRequest(
        prompt=inputs.read_prompt(prompt, prompt_file),
        model=model or run.settings.model,
        aspect_ratio=aspect_ratio or run.settings.aspect_ratio,
        version=model_version or run.settings.model_version,
        webhook_url=webhook_url,
        webhook_events=tuple(webhook_event or ()),
    )
    key = inputs.idempotency_key(idempotency_key, count)
    tasks = [
        Task(index, "intent", request=each, idempotency_key=key or str(uuid4()), key_is_given=key is not None)
        for index, each in enumerate(inputs.expand(request, seed, count), start=1)
    ]
    if no_wait and out is not None:
        raise ReveError("usage", "--no-wait saves nothing: use reve wait JOB --out PATH later")
    naming = run.naming(out, jobs=count, force=force) if not no_wait else None
    if naming is not None:
        naming.check(tasks)
    if dry_run:
        return run.show_requests(tasks, naming)
    from reve_cli.jobs import Goal
    from reve_cli.recovery import finish_command

    if naming is None:
        later = run.naming(None, jobs=count, force=force)
        return run.run(
            tasks, Goal.ACCEPTED, "ids", None, lambda task: finish_command(task, later, run.flags, no_wait=True)
        )
    return run.run(tasks, Goal.SAVED, "bytes" if naming.to_stdout else "paths", naming)
