"""What people type instead of a command, an option or a value of reve: one table, used before spelling.

A candidate that begins with hyphens counts only where its option exists; the first one that counts is used.

May import: nothing of ours.
"""

import re
from collections.abc import Collection, Mapping

COMMANDS: Mapping[str, str] = {
    word: command
    for command, words in {
        "generate": "create draw imagine image images img make new paint picture prompt render run submit text2image"
        " text2img txt2img",
        "batch": "bulk csv foreach many multi",
        "wait": "follow poll tail watch",
        "download": "dl fetch get pull save",
        "resume": "continue finish recover retry unfinished",
        "resume --abandon JOB": "abandon cancel kill stop",
        "status": "progress state",
        "history": "list log logs ls recent",
        "show": "cat describe exif info inspect metadata view",
        "rerun": "again redo regenerate remake repeat reproduce vary variation",
        "history --search TEXT": "find grep search",
        "gallery": "album browse contact-sheet html page thumbnails",
        "jobs": "job ps queue tasks",
        "account": "balance billing credits me plan quota usage user whoami",
        "model": "cost engines models price prices pricing",
        "auth login": "api-key apikey authenticate key login signin token",
        "auth logout": "logout signout",
        "config list": "configure env init preferences set settings setup",
        "doctor": "check diagnose diagnostics ping selftest",
        "help": "docs man manual topics",
        "sandbox serve": "mock serve server simulate",
        "webhook": "hook hooks webhooks",
        "webhook listen": "listen receive tunnel",
        "--version": "about ver version",
        "--show-completion SHELL": "complete completion completions",
    }.items()
    for word in words.split()
}

_IN_GROUPS: Mapping[str, str] = {
    f"{group} {word}": f"{group} {command}"
    for group, commands in {
        "auth": {
            "login": "add key new set signin store token",
            "status": "check list ls show who whoami",
            "logout": "clear delete remove rm signout unset",
        },
        "config": {
            "list": "all dump print show ls",
            "set": "add change edit update",
            "get": "read value",
            "unset": "clear delete remove reset rm",
            "path": "file location where",
        },
        "history": {"show": "cat describe get info inspect view"},
        "sandbox": {"serve": "run start up", "reset": "clean clear delete rm stop"},
        "webhook": {
            "listen": "receive run serve start watch",
            "verify": "check validate",
            "send": "deliver fire post simulate test trigger",
        },
    }.items()
    for command, words in commands.items()
    for word in words.split()
}

_NONE = "Reve has nothing like it"
_SHAPE = "for the shape; the API chooses the size"
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "o output outfile output-file output-path out-file save save-to filename dest destination": ("--out PATH",),
    "output-dir out-dir outdir dir folder output-folder save-dir directory": ("--out FOLDER/",),
    "size width height resolution dimensions image-size W H hd 4k megapixels": (f"--ar W:H {_SHAPE}",),
    "a ar aspect ratio aspectratio shape orientation portrait landscape square": ("--ar W:H",),
    "n N num number num-images num-outputs images samples batch-size num-samples batch-count repeat iterations": (
        "--count N",
        "--seeds 1-4",
        "--limit N",
    ),
    "count": ("--count N", "--seeds 1-4 (each line with each seed)", "--limit N"),
    "p prompt text caption": ('a prompt without an option: reve generate "a fox"',),
    "api-key apikey key token auth k api-token": ("APIFRAME_API_KEY or --api-key-file: a key is never an argument",),
    "v verbose trace log log-level loglevel vv": ("--debug",),
    "f overwrite replace clobber overwrite-existing": ("--force",),
    "yes y": ("--yes", "--force"),
    "confirm assume-yes no-confirm": ("--yes", "--force"),
    "async background detach no-block nowait submit-only": ("--no-wait",),
    "j parallel threads workers max-parallel num-workers max-concurrency jobs max-workers": (
        "--concurrency N",
        "--count N for several images",
    ),
    "i input file from-file input-file prompts": ("--prompt-file PATH", "a FILE without an option"),
    "mock fake simulate simulated test testing offline sandboxed demo": ("--sandbox",),
    "silent s no-progress": ("--quiet",),
    "budget max-cost cap max-spend limit-credits max-price credits": ("--max-credits N",),
    "dryrun what-if noop no-op preview-only print-only simulate-only check": ("--dry-run",),
    "webhook callback callback-url hook": ("--webhook-url URL",),
    "webhook-events events": ("--webhook-event EVENT",),
    "filter grep query contains find": ("--search TEXT",),
    "status": ("--status STATUS", "--state STATE"),
    "state": ("--state STATE", "--status STATUS"),
    "after from start newer": ("--since WHEN",),
    "before to end older": ("--until WHEN",),
    "max top tail head last limit": ("--limit N",),
    "all": ("--limit 0", "ids of jobs; reve resume takes all unfinished jobs"),
    "completion install-completion completions": ("--show-completion SHELL",),
    "max-time deadline time-limit wait-timeout": ("--timeout TIME",),
    "jsonl output-json json-output as-json": ("--json",),
    "model-name engine checkpoint": ("--model NAME",),
    "model-id version": ("--model-version NAME", "reve --version"),
    "idempotency idempotency-id request-id": ("--idempotency-key KEY",),
    "restart fresh no-resume": ("--new",),
    "continue resume": ("reve resume",),
    "random random-seed": ("--seed random",),
    "S": ("--seed N",),
    "format output-format ext extension type": ("--out NAME.png: images are PNG",),
    "stdout": ("--out - for standard output",),
    "delimiter sep separator": ("--format csv",),
    "base-url url host endpoint api-url server": ("APIFRAME_BASE_URL",),
    "config config-file profile": ("reve config",),
    "color colour no-color no-colour": ("reve config set color never, or NO_COLOR=1",),
    "wait sync block": ("--out PATH: reve waits unless you add --no-wait",),
    "download save-images": ("--download", "--out PATH: reve saves images by itself"),
    "retry retries max-retries": ("--retries N", "the command again: it continues the same run"),
    "r rate rate-limit rpm": ("--rate N/min",),
    "negative negative-prompt neg no uc": ("the prompt to say what to leave out: Reve has no negative prompt",),
    "image img init-image init-img reference image-url sref cref oref iw input-image mask strength ref": (
        "words only: Reve makes images from text here",
    ),
}
_OF_OTHERS = """
    steps num-inference-steps cfg cfg-scale guidance guidance-scale scale sampler sampler-name scheduler style
    style-preset stylize chaos weird quality q c w tile raw fast relax turbo draft niji sw ow cw stop personalize
    upbeta hq lora loras vae clip-skip eta denoise denoising-strength hires hires-fix upscale upscaler refiner
    background transparent moderation safety safety-checker nsfw enhance prompt-strength ddim-steps plms C A U G t
    exp sameseed video public stealth device gpu cpu fp16 precision xformers seed-resize variations
"""

_BY_NAME: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_OF_OTHERS.split(), (_NONE,)),
    **{name: candidates for names, candidates in _OPTIONS.items() for name in names.split()},
}

_VALUES: Mapping[str, tuple[str, ...]] = {
    word: right
    for words, right in {
        "done complete completed finished success succeeded ok ready": ("saved", "COMPLETED", "completed"),
        "running pending queued open active incomplete interrupted waiting in-progress": (
            "unfinished",
            "PROCESSING",
            "progress",
        ),
        "error errored failure broken rejected": ("failed", "FAILED"),
        "cancelled canceled cancel stopped": ("abandoned", "CANCELLED"),
        "square": ("1:1",),
        "landscape wide widescreen horizontal": ("16:9",),
        "portrait tall vertical story phone": ("9:16",),
        "yes on true 1": ("always", "on", "true"),
        "no off false 0": ("never", "off", "false"),
        "reve default": ("reve-create",),
        "json ndjson jsonlines": ("jsonl",),
        "txt plain lines": ("text",),
        "tsv tab": ("csv",),
        "me mine own": ("user",),
        "ar ratio aspect shape": ("aspect_ratio",),
        "out output folder dir": ("output_folder",),
        "version": ("model_version",),
        "template name": ("name_template",),
    }.items()
    for word in words.split()
}
_SIZE = re.compile(r"(\d{1,5})\s*[x\u00d7/*:]\s*(\d{1,5})", re.IGNORECASE)


def right_command(typed: str) -> str:
    """The command that does what `typed` means: a word after `reve`, or `GROUP WORD`; "" if the table does not know."""
    return COMMANDS.get(typed) or _IN_GROUPS.get(typed) or ""


def right_option(typed: str, options: Collection[str]) -> str:
    """What does the work of the option `typed` in a command with these options; "" if the table does not know.

    The answer follows `use`, except for an option that Reve has nothing for.
    """
    for candidate in _BY_NAME.get(_bare(typed), ()):
        if not candidate.startswith("-") or candidate.partition(" ")[0] in options:
            return candidate if candidate == _NONE else f"use {candidate}"
    return ""


def is_option_elsewhere(typed: str) -> bool:
    """Whether `typed`, with or without its hyphens, is an option in the table."""
    return _bare(typed) in _BY_NAME


def _bare(typed: str) -> str:
    """The name of an option as the table has it: without hyphens in front; only a single letter keeps its case."""
    name = typed.lstrip("-")
    return name if len(name) == 1 else name.replace("_", "-").lower()


def right_value(typed: str, known: Collection[str]) -> str:
    """The known value that `typed` means; "" if the table does not know. A size means its ratio."""
    word = typed.strip().lower()
    for candidate in _VALUES.get(word, ()):
        if candidate in known:
            return candidate
    size = _SIZE.fullmatch(word)
    if size and int(size[1]) and int(size[2]):
        for ratio in known:
            wide, colon, high = ratio.partition(":")
            if colon and wide.isdecimal() and high.isdecimal() and int(size[1]) * int(high) == int(size[2]) * int(wide):
                return ratio
    return ""
