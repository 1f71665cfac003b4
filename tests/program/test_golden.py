"""Golden files pin every help text, every completion script and every JSON document."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reve_cli.cli.scripts import FILES
from reve_cli.commands.root import tree
from reve_cli.help.manual import summary
from reve_cli.help.tree import walk
from reve_cli.sandbox import Sandbox, parse_faults
from reve_cli.serving.signatures import sign
from tests.conftest import KEY, Reve

Golden = Callable[[str, str], None]
TREE = dict(walk(tree()))
COMMANDS = [path.removeprefix("reve").strip() for path in TREE]
GROUPS = {path.rpartition(" ")[0].removeprefix("reve").strip() for path in TREE}
NAMES = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
    (r"\b[0-9a-f]{32}\b", "<run>"),
    (r"http://127\.0\.0\.1:\d+", "<origin>"),
    (r"req_[0-9a-f]+", "<request>"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>"),
    (r"\b[0-9a-f]{64}\b", "<sha256>"),
    (r'"bytes": \d+', '"bytes": "<bytes>"'),
    (r'"status": "(?:QUEUED|PROCESSING)"', '"status": "<running>"'),
    (r"still running \((?:QUEUED|PROCESSING)\)", "still running (<running>)"),
    (r'"progress": (?:\d+|null)', '"progress": "<progress>"'),
)


def named(text: str) -> str:
    """Replace the parts of `text` that differ from run to run by names."""
    text = text.replace(str(Path.cwd()), "<folder>").replace(str(Path.home()), "<home>")
    for pattern, name in NAMES:
        text = re.sub(pattern, name, text)
    return text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns_and_matches_its_golden_file(reve: Reve, golden: Golden, command: str) -> None:
    result = reve.child(*command.split(), "--help", env={"COLUMNS": "80", "TERM": "dumb"})
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= 80
    assert result.out.isascii()
    golden(f"help-{command.replace(' ', '-') or 'reve'}.txt", result.out)


@pytest.mark.parametrize("command", sorted(GROUPS))
def test_the_summary_of_each_command_fits_one_line(reve: Reve, command: str) -> None:
    result = reve.child(*command.split(), "--help", env={"COLUMNS": "80"})
    for path, inner in TREE.items():
        parent, _, name = path.rpartition(" ")
        if name and parent == f"reve {command}".strip():
            assert re.search(rf"^  {name} +{re.escape(summary(inner))}$", result.out, re.MULTILINE), path


def test_the_help_of_reve_fits_45_lines(reve: Reve) -> None:
    assert len(reve.child("--help", env={"COLUMNS": "80"}).out.splitlines()) <= 45


@pytest.mark.parametrize("shell", FILES)
def test_a_completion_script_is_the_installed_file(reve: Reve, shell: str, request: pytest.FixtureRequest) -> None:
    result = reve("--show-completion", shell)
    path = Path(__file__).parents[2] / "completions" / FILES[shell]
    if request.config.getoption("--golden"):
        path.write_bytes(result.stdout)
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == path.read_bytes()


def test_json_documents_match_their_golden_file(reve: Reve, simulate: Callable[..., Sandbox], golden: Golden) -> None:
    simulate()
    image = ["a red fox", "--seed", "1", "--ar", "3:2", "--model-version", "latest", "--json"]
    runs = {
        "dry run": reve("generate", *image, "--out", "fox.png", "--dry-run"),
        "generate": reve("generate", *image, "--out", "fox.png"),
        "refused": reve("generate", *image, "--out", "fox.png"),
        "no wait": reve("generate", *image, "--no-wait"),
        "wrong usage": reve("generate", "fox", "--count", "0", "--json"),
        "no key": reve("generate", "fox", "--json", env={"APIFRAME_API_KEY": ""}),
    }
    job = runs["no wait"].document["jobId"]
    runs["still running"] = reve("download", job, "--out", "later.png", "--json")
    runs["status"] = reve("status", job, "--json")
    runs["wait"] = reve("wait", job, "--json")
    runs["download"] = reve("download", job, "--out", "later.png", "--json")
    simulate(faults=parse_faults("outcome:capacity"))
    runs["failed"] = reve("generate", "fox", "--json")
    simulate(faults=parse_faults("submit:402"))
    runs["credits"] = reve("generate", "fox", "--json")
    simulate(faults=parse_faults("submit:drop-after"))
    runs["unsettled"] = reve("generate", "fox", "--json", "--out", "x.png")
    runs["resume, dry run"] = reve("resume", "--dry-run", "--json")
    simulate()
    reve("generate", "fox", "--no-wait")
    runs["jobs"] = reve("jobs", "--json")
    runs["account"] = reve("account", "--json")
    runs["model"] = reve("model", "--json")
    runs["model that is not offered"] = reve("model", "reve-2", "--json")
    runs["history"] = reve("history", "--json", "--state", "saved", "--search", "fox.png")
    Path("list.txt").write_text("a red fox\n")
    runs["batch"] = reve("batch", "list.txt", "--out", "foxes/", "--json")
    runs["show"] = reve("show", "fox.png", "--json")
    runs["gallery"] = reve("gallery", "foxes", "--json")
    runs["auth login"] = reve("auth", "login", "--with-key", "--json", stdin=KEY.encode())
    runs["auth status"] = reve("auth", "status", "--json")
    runs["auth logout"] = reve("auth", "logout", "--json")
    runs["config get"] = reve("config", "get", "timeout", "--json")
    runs["config path"] = reve("config", "path", "--json")
    body = b'{"event":"completed","jobId":"00000000-0000-0000-0000-000000000000"}'
    signature = ["--signature", sign(body, KEY), "--json"]
    runs["webhook verify"] = reve("webhook", "verify", *signature, stdin=body)
    runs["webhook verify, not valid"] = reve("webhook", "verify", *signature, stdin=body + b" ")
    nowhere = ["--to", "http://127.0.0.1:9/", "--json"]
    runs["webhook send"] = reve("webhook", "send", "completed", *nowhere)
    reve("generate", "fox", "--no-wait")
    runs["webhook listen"] = reve("webhook", "listen", "--port", "0", "--for", "last", "--out", "pics/", "--json")
    shown = {f"{name}: {run.code}": run.document for name, run in runs.items()}
    shown["doctor"] = next(
        document for document in reve("doctor", "--json").documents if document["check"] == "certificates"
    )
    begun, made = Path("foxes/manifest.jsonl").read_text().splitlines()
    shown |= {"manifest, a run": json.loads(begun), "manifest, an image": json.loads(made)}
    text = "".join(
        f"## {name}\n{json.dumps(document, indent=2, ensure_ascii=False)}\n" for name, document in shown.items()
    )
    golden("documents.txt", named(text))


def test_every_document_has_the_same_keys_in_the_same_order(reve: Reve, sandbox: Sandbox) -> None:
    job = reve("generate", "fox", "--no-wait").out.strip()
    documents = [reve(*command, "--json").document for command in (["status", job], ["wait", job], ["status", "x"])]
    assert len({tuple(document) for document in documents}) == 1
