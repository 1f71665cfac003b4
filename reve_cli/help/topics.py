"""What `reve help TOPIC` and the manual page tell beside the commands, made from the program's own tables.

Imports `settings`, `tasks`, `states`, `templates`, `errors` and `pages`, and the sandbox's catalog, all when a topic is
asked for: --help and completion know the names only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reve_cli.help.pages import Block


@dataclass(frozen=True)
class Topic:
    """A subject: one line about it, its title in the manual page, and what it says."""

    about: str
    section: str
    blocks: Callable[[], Sequence[Block]]


MEANINGS = {
    0: "done",
    1: "a fault of reve's, or standard output could not be written",
    2: "wrong usage or configuration; the API refused the request itself",
    3: "no key, wrong key, key not allowed",
    4: "not enough credits, or over a cap of your own",
    5: "the job ended FAILED or CANCELLED: not charged",
    6: "network, server, gateway or rate limit, after retries; nothing was accepted",
    7: "the file, or the journal: refused before payment; or a download that failed; or the images have expired",
    8: "no such job",
    75: "paid for, or perhaps paid for, and not yet where it belongs: do not submit again. Standard error ends with "
    "the command that finishes it",
    129: "interrupted by HUP: the process dies by that signal",
    130: "interrupted by INT, as by Ctrl-C: the process dies by that signal",
    143: "interrupted by TERM: the process dies by that signal",
}
"""What each exit code says."""


def _exit_codes() -> Sequence[Block]:
    from reve_cli.core.errors import EXIT_CODES, WORST_FIRST

    rows = []
    for code, meaning in MEANINGS.items():
        names = [name for name, its in EXIT_CODES.items() if its == code]
        rows.append((str(code), f"{meaning}. error.code: {', '.join(names)}." if names else f"{meaning}."))
    worst = ", ".join(map(str, WORST_FIRST))
    return [
        rows,
        f"Several jobs end with the worst of theirs, in the order {worst}. status exits with 0 whatever the jobs' "
        "state; with --exit-status it is 0, 5 or 75.",
        "6 is safe to try again: nothing was accepted. 75 is not: run the command that standard error ends with, or "
        "reve resume.",
    ]


VARIABLES = {
    "APIFRAME_API_KEY": "the API key; --api-key-file goes before it",
    "REVE_API_KEY": "the same, read last of the variables, and only if it begins with afk_",
    "PYTHON_KEYRING_BACKEND": "which keychain holds the key, where keychain is on",
    "REVE_STATE_DIR": "where the journal is kept, rescued images, and the sandbox's jobs",
    "REVE_JOURNAL": "off: no journal, and so no safety after a crash",
    "REVE_SANDBOX": "1: simulate the API on this machine, as --sandbox does",
    "REVE_SANDBOX_SECONDS": "how long a simulated job takes (default 2)",
    "REVE_SANDBOX_FAULTS": "what the sandbox does wrong: reve help faults",
    "XDG_CONFIG_HOME": "on Linux: the folder of all settings, instead of ~/.config",
    "XDG_STATE_HOME": "on Linux: the folder of all states, instead of ~/.local/state",
    "NO_COLOR": "anything: no colors",
    "HTTPS_PROXY": "the proxy, for the API and for images",
    "NO_PROXY": "hosts that are reached without it",
    "SSL_CERT_FILE": "certificate authorities to trust, instead of the system's",
    "SSL_CERT_DIR": "the same, as a folder",
}
"""Environment variables that are no settings."""


def _environment() -> Sequence[Block]:
    from reve_cli.settings.settings import SETTINGS, Settings

    defaults = Settings()
    rows = []
    for name, setting in SETTINGS.items():
        default = getattr(defaults, name)
        ends = "" if default in (None, ".", False) else f" (default {default:g})" if isinstance(default, float) else ""
        ends = ends or (f" (default {default})" if default not in (None, ".", False) else "")
        rows.append((setting.variable, setting.about.replace("colours", "colors") + ends))
    project = ", ".join(name for name, setting in SETTINGS.items() if setting.in_project)
    return [
        "A flag beats the environment, which beats the project's .reve.toml, which beats your config.toml, which beats "
        "the default. A variable that is empty counts for nothing.",
        rows,
        "In files a setting is called as its variable is, in small letters and without REVE_ or APIFRAME_. A project "
        f"file may set {project}, and nothing else.",
        "These stand in no file, but for api_key in your own config.toml:",
        list(VARIABLES.items()),
    ]


def _files() -> Sequence[Block]:
    return [
        [
            ("~/.config/reve/config.toml", "your settings; ~/Library/Application Support/reve/config.toml on macOS"),
            (".reve.toml", "a project's settings, from here up to the root of the repository"),
            ("~/.local/state/reve/", "the state folder on Linux; REVE_STATE_DIR names another"),
            ("journal.db", "in the state folder: every job that was begun, from before its request was sent"),
            ("rescue/", "in the state folder: paid images that could not be saved where they belong"),
            ("sandbox/", "in the state folder: simulated jobs, and a journal of their own"),
        ]
    ]


FIELDS = {
    "jobId": "the job, once there is one",
    "status": "QUEUED, PROCESSING, COMPLETED, FAILED, CANCELLED, or what else the API says",
    "progress": "in percent, as the API says",
    "model": "the model",
    "prompt": "what was asked for",
    "seed": "what was asked for",
    "aspectRatio": "what was asked for",
    "version": "what was asked for",
    "urls": "where the images are for a day",
    "files": "what was saved: path, url, bytes, sha256, mediaType of each",
    "creditCost": "credits charged; 0 for a job that failed, null while that is open",
    "createdAt": "as the API says",
    "completedAt": "as the API says",
    "expired": "whether the images are gone, as the API says",
    "idempotencyKey": "what the request was sent with",
    "adopted": "whether an earlier command had begun it, and this one went on",
    "replayed": "whether the idempotency key answered with an older job",
    "simulated": "whether this was a sandbox",
    "error": "null, or an object",
}
"""The fields of a job's document."""
ERROR_FIELDS = {
    "code": "what went wrong, from a closed list: reve help exit-codes",
    "message": "one line for people",
    "exitCode": "the exit code that it has alone",
    "hint": "what to do; for exit code 75, the command that finishes the job",
    "requestId": "the API's name for the request, where it gave one",
    "details": "what else the API said, where it did",
}
STATES = {
    "intent": "noted, and not sent",
    "sending": "sent, and not answered as far as reve knows",
    "accepted": "the API made a job",
    "completed": "its images are there to be had",
    "saved": "they are on disk",
    "refused": "the API did not take it",
    "abandoned": "it was given up, or never sent",
    "failed": "the job FAILED or was CANCELLED",
    "expired": "the server has purged the images",
    "mismatch": "the idempotency key was another request's",
}
"""The states of a row of the journal."""


def _json() -> Sequence[Block]:
    from reve_cli.core.errors import ReveError
    from reve_cli.core.tasks import Task

    job, error = Task(0, "done").document(False), ReveError("internal", "").document()
    return [
        "With --json, every line on standard output is one JSON document: one for each job, in the order of the jobs, "
        "always with all fields, in this order, null where unknown. Errors before any job exists are such a document "
        "too. Commands that list print one for each row, others one in all.",
        [(name, FIELDS[name]) for name in job],
        "The error in it:",
        [(name, ERROR_FIELDS[name]) for name in error],
        "The states of a row in reve history:",
        list(STATES.items()),
        "    reve generate \"a fox\" --json | jq -r '.files[].path'",
    ]


PLACES = {
    "index": "the number of the job in its command, from 1",
    "seed": "the seed, or none",
    "job": "the job id; in the file's name only",
    "slug": "the prompt in letters, digits and hyphens, at most 40; image where nothing is left",
    "date": "the day, in UTC",
    "ext": "png, jpg or webp, by what the image is; in the file's name only",
}
"""The fields of a template."""


def _templates() -> Sequence[Block]:
    from reve_cli.core.templates import DEFAULT_NAME, FIELDS

    return [
        "--out says where images go. A text with braces is a template:",
        [(f"{{{name}}}", PLACES[name]) for name in FIELDS],
        "{{ and }} stand for braces. A value holds no slash: a name never leaves its folder. In a shell, quote a "
        "template.",
        "    reve generate \"a fox\" --count 4 --seed 10 --out 'fox-{seed}.{ext}'",
        "All that --out can be:",
        [
            ("(none)", f"{DEFAULT_NAME} in output_folder; name_template names it otherwise"),
            ("pics/", "the same, in a folder that exists"),
            (
                "img.png",
                "just that; further images of the job are img-2.png ..., with --count img-1.png, img-2.png ...",
            ),
            ("-", "standard output, for a single image"),
            ("/dev/null", "written in place, as is a FIFO"),
        ],
        "Nothing is replaced without --force, and a folder is not made. All that can be checked is checked before "
        "anything is paid for. Should a file appear meanwhile, the image goes beside it, and reve says where.",
        "batch differs: its --out is a folder, which is made if need be, or a template. It takes no single image such "
        "as img.png, no - and no /dev/null.",
    ]


def _faults() -> Sequence[Block]:
    from reve_cli.sandbox import ALL_FAULTS
    from reve_cli.sandbox.catalog import FAULTS, OUTCOMES

    places: dict[str, list[str]] = {}
    for fault in ALL_FAULTS:
        place, _, what = fault.partition(":")
        places.setdefault(place, []).append(what)
    outcomes = places.pop("outcome")
    anywhere = [what for what in next(iter(places.values())) if all(what in whats for whats in places.values())]
    own = [(place, [what for what in whats if what not in anywhere]) for place, whats in places.items()]
    blocks: list[Block] = [
        "REVE_SANDBOX_FAULTS makes the sandbox fail, to see how a script copes: PLACE:WHAT[/ARGUMENT][*TIMES], "
        "separated by commas. Without *TIMES it fails always. A place is a kind of request: "
        f"{', '.join(places)}; or outcome, which is how a job ends.",
        '    REVE_SANDBOX_FAULTS="submit:503*2,image:cut*1" reve generate fox --sandbox',
        "At every place but outcome:",
        [(what, FAULTS[what]) for what in anywhere if what in FAULTS],
    ]
    for place, whats in own:
        if whats:
            blocks += [f"At {place} also:", [(what, FAULTS[what]) for what in whats]]
    return [*blocks, "At outcome:", [(what, OUTCOMES[what]) for what in outcomes]]


def _money() -> Sequence[Block]:
    return [
        "Every image is charged when its job is COMPLETED; a job that FAILED or was CANCELLED costs nothing. Nothing "
        "can be cancelled.",
        "Nothing is paid for twice. Every request carries an idempotency key and is sent again only with that key and "
        "the same bytes. When an answer was lost, reve does not guess: it exits with 75 and prints the command that "
        "finds out.",
        "No paid image is lost. A journal knows every job from before its request is sent. Whatever cut a command "
        "short, reve resume finishes what was begun, and so does the same command, run again within an hour; --new "
        "makes new images instead.",
        "In CI, --once SCOPE makes an image once for that scope, such as a pipeline, whatever is retried, on any "
        "machine, for 24 hours.",
        "Look before you spend, cap what may be spent, and see what was paid:",
        '    reve generate "a fox" --dry-run\n'
        '    reve generate "a fox" --count 4 --max-credits 20\n'
        '    REVE_MAX_CREDITS_PER_DAY=200 reve generate "a fox"\n'
        "    reve history --since 24h",
        "Caps count what was charged and what may yet be, an idempotency key once. The price is what the API publishes "
        "for the model, or credits_per_image, or the highest charge so far; where none is known, a command with a cap "
        "is refused.",
        "With --sandbox all is simulated, and nothing is charged.",
    ]


ENGINES = {
    "Kubernetes, in an Indexed Job with completions: 8; its index is from 0": """
    reve batch prompts.txt --run foxes-1 --out /pics \\
        --shard "$((JOB_COMPLETION_INDEX + 1))/8"
""",
    "Slurm, in a script submitted with sbatch --array=1-8": """
    reve batch prompts.txt --run foxes-1 --out pics \\
        --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
""",
    "GitLab, in a job with parallel: 8": """
    reve batch prompts.txt --run "$CI_PIPELINE_ID" --out pics \\
        --shard "$CI_NODE_INDEX/$CI_NODE_TOTAL"
""",
    "GitHub, in a job with strategy.matrix.shard: [1, 2, 3, 4] and, in its env, SHARD: ${{ matrix.shard }}": """
    reve batch prompts.txt --run "$GITHUB_RUN_ID" --out pics --shard "$SHARD/4"
""",
    "GNU parallel, on one machine or, with --sshlogin, on several": """
    parallel reve batch prompts.txt --run foxes-1 --out pics \\
        --shard {}/4 ::: 1 2 3 4
""",
}
"""What starts the shards of a batch, and the command it runs."""


def _shards() -> Sequence[Block]:
    blocks: list[Block] = [
        "reve batch FILE --run NAME --shard I/N makes one of N parts of a file, I from 1 to N. What an image asks for "
        "decides which part it is in, not its place in the file. So each is in just one part, machines need not talk "
        "to each other, and lines may be added, moved and edited.",
        "All machines need the same FILE, options, NAME and API key. They share its rate limit: each finds out what "
        "the others leave.",
    ]
    for engine, command in ENGINES.items():
        blocks += [f"{engine}:", command.strip("\n")]
    return [
        *blocks,
        "Run a shard again after any failure, on any machine. Within 24 hours of the first time the API knows by NAME "
        "what it has made already, even where nothing else is left; later only what is kept tells it: the images' "
        "folder with its manifest, or the journal. Another N with the same NAME pays for nothing again either, in the "
        "same way.",
        "Each shard has a manifest of its own, manifest-I-of-N.jsonl; in a shared folder they do no harm to each "
        "other. Where each had a folder, put together what they made, and let the whole file be checked:",
        "    mkdir -p all\n"
        "    cp -R pics-*/. all/\n"
        "    cat all/manifest-*-of-*.jsonl > all/manifest.jsonl\n"
        "    reve batch prompts.txt --run foxes-1 --out all",
    ]


TOPICS = {
    "exit-codes": Topic("what each exit code means, and which errors have it", "EXIT STATUS", _exit_codes),
    "environment": Topic("variables, and the settings behind them", "ENVIRONMENT", _environment),
    "files": Topic("where settings, the journal and rescued images are", "FILES", _files),
    "json": Topic("what --json prints, field by field", "JSON", _json),
    "templates": Topic("what --out can be, and the fields of its templates", "TEMPLATES", _templates),
    "money": Topic("what is charged, and how nothing is paid for twice", "MONEY", _money),
    "shards": Topic("how many machines share one batch", "SHARDS", _shards),
    "faults": Topic("what the sandbox can be told to do wrong", "FAULTS", _faults),
}
"""What there is to read about, by name."""
