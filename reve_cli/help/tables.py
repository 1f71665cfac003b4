"""The tables of the topics and the README, made from the program's own tables.

Only tests use it: they compare these tables with the Markdown files, and with `--golden` they write them there. So
`reve help TOPIC` reads one file and nothing else.

May import: documents, settings, sandbox, journal.states, core.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from reve_cli.core.errors import EXIT_CODES
from reve_cli.core.templates import FIELDS
from reve_cli.help.documents import DOCUMENTS, ERROR_FIELDS, JOB_FIELDS, Fields
from reve_cli.journal.states import CLOSED, OPEN
from reve_cli.sandbox import ALL_FAULTS
from reve_cli.sandbox.catalog import FAULTS, OUTCOMES, WEBHOOKS
from reve_cli.settings.settings import SETTINGS, Setting

Table = Sequence[Sequence[str]]
"""Rows of cells. The first row is the headings; the first cell of other rows is printed as code, or is a link."""

MEANINGS = {
    0: "success",
    1: "internal error, or standard output could not be written",
    2: "invalid usage or configuration, or the API rejected the request",
    3: "no API key, an invalid key, a key without permission, or a webhook event with an invalid signature",
    4: "not enough credits, or a spending cap was reached",
    5: "the job ended FAILED or CANCELLED; nothing was charged",
    6: "network, server or rate-limit error after retries; nothing was accepted, so it is safe to try again",
    7: "file or journal error before payment, a failed download, or expired images",
    8: "job not found, or the API does not list the model",
    75: "paid for, or perhaps paid for, but not yet saved where you asked. Standard error ends "
    "with the command that finishes it",
    129: "interrupted by HUP; the process dies from that signal",
    130: "interrupted by INT, as from Ctrl-C; the process dies from that signal",
    143: "interrupted by TERM; the process dies from that signal",
}
"""Exit codes."""

VARIABLES = {
    "APIFRAME_API_KEY": "the API key; --api-key-file takes precedence",
    "REVE_API_KEY": "the API key, if no other variable has one; ignored unless it begins with afk_",
    "PYTHON_KEYRING_BACKEND": "the keychain to use, if the setting keychain is on; keyring.backends.fail.Keyring "
    "means none",
    "REVE_STATE_DIR": "folder of the journal, rescued images and sandbox jobs",
    "REVE_JOURNAL": "off: run without a journal, and so without crash safety",
    "REVE_SANDBOX": "1: simulate the API on this machine, like --sandbox",
    "REVE_SANDBOX_SECONDS": "duration of a simulated job (default 2)",
    "REVE_SANDBOX_FAULTS": "faults that the sandbox simulates: see reve help faults",
    "XDG_CONFIG_HOME": "on Linux: the folder of all settings, instead of ~/.config",
    "XDG_STATE_HOME": "on Linux: the folder of all state, instead of ~/.local/state",
    "NO_COLOR": "any value: no colors, unless the setting color is always",
    "CI": "any value: no progress in the terminal's tab or taskbar, and no preview of images",
    "HTTPS_PROXY": "proxy for the API and for images; ALL_PROXY works too",
    "NO_PROXY": "hosts to reach without the proxy",
    "SSL_CERT_FILE": "file of certificate authorities to trust instead of the system's",
    "SSL_CERT_DIR": "folder of certificate authorities to trust instead of the system's",
    "SSLKEYLOGFILE": "file to write TLS secrets to, for debugging the network; whoever has it can read the traffic",
}
"""Environment variables that are not settings."""

STATES = {
    "intent": "recorded, not sent",
    "sending": "sent, not answered as far as reve knows",
    "accepted": "the API made a job",
    "completed": "the images are ready to download",
    "saved": "the images are on disk",
    "refused": "the API refused the request",
    "abandoned": "never sent, or given up",
    "failed": "the job FAILED or was CANCELLED",
    "expired": "the API has deleted the images",
    "mismatch": "the idempotency key belongs to another request",
}
"""States of a job in the journal."""

PLACES = {
    "index": "number of the job in its command, from 1",
    "seed": "the seed; the word none if no seed was given",
    "job": "the job id; only in the file name",
    "slug": "the prompt in at most 40 letters, digits and hyphens "
    "(fewer if the name would be too long for the folder); the word image if none is left",
    "date": "the day, in UTC",
    "ext": "png, jpg or webp, from the image's format; only in the file name",
}
"""Fields of a name template."""


def _exit_codes() -> Table:
    names = {code: [name for name, its in EXIT_CODES.items() if its == code] for code in MEANINGS}
    rows = [(str(code), meaning, ", ".join(names[code])) for code, meaning in MEANINGS.items()]
    return [("code", "meaning", "error.code"), *rows]


def _settings() -> Table:
    rows = [
        (setting.name, setting.about, _default(setting), setting.variable, "yes" if setting.in_project else "")
        for setting in SETTINGS.values()
    ]
    return [("setting", "meaning", "default", "variable", "in .reve.toml"), *rows]


def _default(setting: Setting) -> str:
    if setting.name == "output_folder":
        return "the current folder"
    words, default = {None: "", False: "false", True: "true"}, setting.default
    return f"{default:g}" if type(default) in (int, float) else words.get(default, default)


def _variables() -> Table:
    settings = {setting.variable: setting.about for setting in SETTINGS.values()}
    return _two("variable", VARIABLES | settings)


def _faults() -> Table:
    places: dict[str, list[str]] = {}
    for fault in ALL_FAULTS:
        place, _, what = fault.partition(":")
        if place not in ("outcome", "webhook"):
            places.setdefault(place, []).append(what)
    rows = []
    for what, meaning in FAULTS.items():
        at = [place for place, known in places.items() if what in known]
        rows.append((what, meaning, "" if len(at) == len(places) else ", ".join(at)))
    return [("fault", "effect", "place"), *rows]


def _fields(fields: Fields) -> Table:
    return _two("field", {name: field.about for name, field in fields.items()})


def _documents() -> Table:
    """Documents without a table of their own. A field's meaning follows its name in parentheses."""
    rows = []
    for name, document in DOCUMENTS.items():
        if name != "job" and not name.startswith("manifest"):
            known = document.fields.items()
            rows.append(
                (document.commands, " ".join(f"`{n}`{f' ({field.about})' * bool(field.about)}" for n, field in known))
            )
    return [("command", "fields"), *rows]


def _two(head: str, meanings: Mapping[str, str]) -> Table:
    return [(head, "meaning"), *meanings.items()]


TABLES: Mapping[str, Callable[[], Table]] = {
    "exit codes": _exit_codes,
    "settings": _settings,
    "variables": _variables,
    "job fields": lambda: _fields(JOB_FIELDS),
    "error fields": lambda: _fields(ERROR_FIELDS),
    "documents": _documents,
    "states": lambda: _two("state", {state: STATES[state] for state in (*OPEN, *CLOSED)}),
    "templates": lambda: _two("field", {f"{{{field}}}": PLACES[field] for field in FIELDS}),
    "faults": _faults,
    "outcomes": lambda: _two("outcome", OUTCOMES),
    "webhook faults": lambda: _two("fault", WEBHOOKS),
}
"""Every table, by the name that its markers have: `<!-- table: NAME -->` and `<!-- end -->`."""
_MARKED = re.compile(r"(?<=<!-- table: )(.+?)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def filled(text: str, tables: Mapping[str, Callable[[], Table]] = TABLES) -> str:
    """Put the tables between their markers in Markdown. Raises KeyError for the name of no table."""
    return _MARKED.sub(lambda found: f"{found[1]}{found[2]}\n{_markdown(tables[found[1]]())}\n", text)


def _markdown(table: Table) -> str:
    heads, *rows = table
    lines = [heads, ["---"] * len(heads), *([_term(term), *map(_escaped, cells)] for term, *cells in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _term(cell: str) -> str:
    return cell if cell.startswith("[") else f"`{cell}`"


def _escaped(cell: str) -> str:
    return re.sub(r"([*<|\[\]])", r"\\\1", cell)
