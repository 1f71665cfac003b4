"""The check `completion`: whether the user's shell has reve's completion, judged by its files.

May import: doctor.findings, terminal.text.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from reve_cli.doctor.findings import Finding
from reve_cli.terminal.text import quote

# Bytes of a start-up file that are read.
_LONGEST_START_FILE = 2**20
_START_FILES = {
    "bash": ("~/.bashrc", "~/.bash_profile", "~/.profile", "~/.bash_completion"),
    "zsh": ("{zsh}/.zshrc", "{zsh}/.zshenv", "{zsh}/.zprofile"),
    "fish": ("{config}/fish/config.fish", "{config}/fish/conf.d/*.fish"),
    "pwsh": ("{config}/powershell/*profile.ps1",),
}
_COMPLETION_FILES = {
    "bash": (
        "{data}/bash-completion/completions/reve",
        "{root}/share/bash-completion/completions/reve",
        "{root}/etc/bash_completion.d/reve",
    ),
    "zsh": (
        "~/.zfunc/_reve",
        "{data}/zsh/site-functions/_reve",
        "{root}/share/zsh/site-functions/_reve",
        "{root}/share/zsh/vendor-completions/_reve",
    ),
    "fish": (
        "{config}/fish/completions/reve.fish",
        "{data}/fish/vendor_completions.d/reve.fish",
        "{root}/share/fish/vendor_completions.d/reve.fish",
        "{root}/etc/fish/completions/reve.fish",
    ),
    "pwsh": (),
}
_LINES = {
    "bash": 'eval "$(reve --show-completion bash)"',
    "zsh": 'eval "$(reve --show-completion zsh)"',
    "pwsh": "reve --show-completion powershell | Out-String | Invoke-Expression",
}
_FISH_FOLDER = "{config}/fish/completions"
"""fish also reads options from the installed manual page, unless a file of this folder or of the system has them."""
_MISSING = "{} completion is not set up"
_ROOTS = ("/usr", "/usr/local", "/opt/homebrew", "")


def completion(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether a start-up file of the shell in `SHELL` loads reve's completion, or a completion file is installed."""
    shell = os.path.basename(environ.get("SHELL", "")).removesuffix(".exe")
    if shell not in _START_FILES:
        said = f"reve has no completion for {shell}" if shell else "SHELL is not set"
        yield Finding("completion", "ok", said, details={"shell": shell or None, "where": None})
        return
    places = {
        "zsh": environ.get("ZDOTDIR") or "~",
        "config": environ.get("XDG_CONFIG_HOME") or "~/.config",
        "data": environ.get("XDG_DATA_HOME") or "~/.local/share",
    }
    starts = [path for pattern in _START_FILES[shell] for path in _found(pattern.format(**places))]
    patterns = {pattern.format(**places, root=root) for pattern in _COMPLETION_FILES[shell] for root in _ROOTS}
    files = [path for pattern in sorted(patterns) for path in _found(pattern)]
    loading = [*filter(_mentions_us, starts)]
    where = next((str(path) for path in [*files, *loading]), None)
    details = {"shell": shell, "where": where}
    if shell == "fish" and not files:
        folder = _FISH_FOLDER.format(**places)
        folder = folder if folder.startswith("~") else quote(folder)
        said = f"{where} loads it, but fish then adds wrong options from the manual page" if where else _MISSING
        remedy = f"mkdir -p {folder} && reve --show-completion fish > {folder}/reve.fish"
        yield Finding("completion", "hint", said.format(shell), remedy, details)
        return
    if where:
        yield Finding("completion", "ok", f"{shell} completion is set up in {where}", details=details)
        return
    start = _START_FILES[shell][0].format(**places)
    remedy = f"add to {'your profile' if '*' in start else start}: {_LINES[shell]}"
    yield Finding("completion", "hint", _MISSING.format(shell), remedy, details)


def _found(pattern: str) -> list[Path]:
    """The existing files that match. Only the last part of the path may contain wildcards."""
    folder, name = os.path.split(os.path.expanduser(pattern))
    return sorted(Path(folder).glob(name))


def _mentions_us(path: Path) -> bool:
    """Whether a line of a start-up file, other than a comment, loads reve's completion."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(_LONGEST_START_FILE).splitlines()
    except OSError:
        return False
    return any("reve --show-completion" in line for line in lines if not line.lstrip().startswith("#"))
