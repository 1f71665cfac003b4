"""`reve help`: topics, the help of any command, and the manual page. May import: cli, core; the rest late."""

from collections.abc import Sequence
from typing import Annotated

import typer

from reve_cli.cli import command, options
from reve_cli.core.errors import ReveError
from reve_cli.core.process import Process

Manual = Annotated[bool, typer.Option("--man", help="Print the manual page, to view with man -l.")]
Schema = Annotated[bool, typer.Option("--schema", help="For json: print a JSON Schema of all documents.")]
Skill = Annotated[bool, typer.Option("--skill", help="For agents: print the topic as a SKILL.md file.")]
Install = Annotated[
    bool,
    typer.Option("--install", help="For agents: write reve/SKILL.md into a folder (default .agents/skills)."),
]


@command.documented
def help(
    ctx: typer.Context,
    words: options.HelpWords = None,
    man: Manual = False,
    schema: Schema = False,
    skill: Skill = False,
    install: Install = False,
) -> None:
    """Show help for a topic or a command.

    Examples:
        reve help exit-codes
        reve help history show
        reve help --man > reve.1
        reve help json --schema > reve.schema.json
        reve help agents --install
    """
    from reve_cli.terminal.output import Output

    process: Process = ctx.obj
    output = process.output = Output(process.environ)
    given = {"--man": man, "--schema": schema, "--skill": skill, "--install": install}
    for line in _text(ctx, words or [], [name for name, is_given in given.items() if is_given]).splitlines():
        output.line(line)


def _text(ctx: typer.Context, words: Sequence[str], given: Sequence[str]) -> str:
    """The text to print. Raises `ReveError` (code `usage`) for options that do not fit the words or one another."""
    from reve_cli.help import manual, skill

    if len(given) > 1:
        raise ReveError("usage", f"{given[0]} and {given[1]} cannot be combined")
    if not given or given == ["--man"]:
        return manual.help_text(ctx.find_root().command, words, man=bool(given))
    option, topic, most = given[0], "json" if given == ["--schema"] else "agents", 2 if given == ["--install"] else 1
    if words[:1] != [topic] or len(words) > most:
        usage = f"reve help {topic} {option}{' [DIR]' * (most == 2)}"
        raise ReveError("usage", f"{option} belongs to the topic {topic}", hint=usage)
    if option == "--schema":
        import json

        from reve_cli.help.documents import schema

        return json.dumps(schema(), indent=2)
    return skill.install(words[1] if len(words) > 1 else skill.FOLDER) if option == "--install" else skill.skill()
