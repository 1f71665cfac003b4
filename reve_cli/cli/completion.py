"""Completion for bash, zsh, fish and PowerShell: the shell scripts, and the answers to them.

Typer's own scripts do not work as files (zsh's compinit ignores one, bash stops at the colon of `--ar 16:`), and its
answers load rich. Answers come from the command tree that also parses the command line. A shell asks by running `reve`
in one of two ways:

    _REVE_COMPLETE=words _REVE_COMPLETE_WORD=WORD reve WORD...    the word at the cursor, and the words before it
    _REVE_COMPLETE=line reve LINE                                 the command line up to the cursor, as typed (bash)

The answer has one candidate per line, `VALUE` or `VALUE<TAB>HELP`, always for the whole word (`--ar=16:9`). The single
line `:files` asks the shell to complete file names. On any error the answer is empty and the exit code 0, because an
error message would disturb a half-typed line.

The scripts below are the source of the files in completions/: each is the output of `reve --show-completion SHELL`.
May import: terminal, core.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence

from typer.core import TyperGroup, TyperOption

from reve_cli.cli.flags import in_order
from reve_cli.core.process import Process
from reve_cli.core.typer_private import (
    Command,
    CompletionItem,
    Context,
    Parameter,
    context_after,
    has_unknown_subcommand,
    split_arg_string,
    takes_more,
)
from reve_cli.terminal.output import Output
from reve_cli.terminal.text import safe

_FILES = CompletionItem(":files")
_LONGEST_HELP = 150


def answer(command: Command, arguments: Sequence[str], process: Process) -> None:
    """Print the candidates for a shell's request."""
    environ = process.environ
    with contextlib.suppress(Exception):
        if environ["_REVE_COMPLETE"] == "line":
            # The added letter marks the cursor: without it, `out ` and `out` split into the same words.
            _, *words, word = split_arg_string(arguments[0] + "x")
            word = word[:-1]
        else:
            words, word = list(arguments), environ.get("_REVE_COMPLETE_WORD", "")
        output = Output(environ)
        for item in list(_candidates(command, process, words, word)):
            help_text = safe(" ".join((item.help or "").split()))
            output.line(f"{item.value}\t{help_text}" if help_text else item.value)


def _candidates(root: Command, process: Process, words: list[str], word: str) -> Iterable[CompletionItem]:
    """Return the completions of `word` after `words`."""
    words = in_order(words, root)
    context = context_after(root, words, process)
    command = context.command
    parameters = command.get_params(context)
    if "--" not in words:
        name, equals, value = word.partition("=")
        if equals and word.startswith("--"):
            option = _option_with_value(parameters, name)
            items = _values(context, option, value) if option else []
            for item in items:
                if item is not _FILES:
                    item.value = f"{name}={item.value}"
            return items
        option = _option_with_value(parameters, words[-1]) if words else None
        if option:
            return _values(context, option, word)
        if word.startswith("-"):
            return command.shell_complete(context, word)
    if isinstance(command, TyperGroup):
        items = [] if has_unknown_subcommand(context) else command.shell_complete(context, word)
        for item in items:
            if item.value in command.commands:  # Typer shortens it to 45 characters
                item.help = command.commands[item.value].get_short_help_str(_LONGEST_HELP)
        return items
    for parameter in parameters:
        if takes_more(context, parameter):
            return _values(context, parameter, word)
    return [] if word or "--" in words else command.shell_complete(context, "-")  # only options can follow


def _option_with_value(parameters: Sequence[Parameter], name: str) -> Parameter | None:
    """Return the option `name` if it takes a value, else None."""
    for parameter in parameters:
        if isinstance(parameter, TyperOption) and name in parameter.opts and not parameter.is_flag:
            return parameter
    return None


def _values(context: Context, parameter: Parameter, start: str) -> list[CompletionItem]:
    """Return a value's completions: files, words of the metavar (`N|random`), choices, `autocompletion`."""
    metavar = parameter.metavar or ""
    if metavar in ("PATH", "FILE"):
        return [_FILES]
    literals = [CompletionItem(word) for word in metavar.split("|") if word.islower() and word.startswith(start)]
    return literals + parameter.shell_complete(context, start)


_BASH = r"""# Completion of reve for bash 3.2 and later. In ~/.bashrc: eval "$(reve --show-completion bash)"

_reve() {
    local line=${COMP_LINE:0:COMP_POINT} command=${COMP_WORDS[0]} before value help room shown=()
    case $command in "~/"*) command=$HOME/${command:2} ;; esac
    type -P -- "$command" >/dev/null || command=reve # an alias, a quoted path

    # Readline replaces $2, the part of the word after the last of COMP_WORDBREAKS; what stands before it stays.
    before=${line##*[[:space:]]}
    before=${before%"$2"}
    before=${before//[\"\'\\]/}

    compopt -o nosort 2>/dev/null # bash 4.4 and later: the newest job first
    COMPREPLY=()
    while IFS=$'\t' read -r value help; do
        if [ "$value" = :files ]; then
            compopt -o default +o nosort 2>/dev/null
        elif [ -n "$value" ]; then
            value=${value#"$before"}
            room=$((${COLUMNS:-80} - ${#value} - 3))
            COMPREPLY[${#COMPREPLY[@]}]=$value
            [ "$help" ] && [ "$room" -gt 0 ] && value="$value  ${help:0:room}"
            shown[${#shown[@]}]=$value
        fi
    done <<<"$(_REVE_COMPLETE=line "$command" "$line" 2>/dev/null </dev/null)"

    # Where bash only lists the candidates, it shows their help as well: nothing of it is inserted.
    case ${COMP_TYPE-}$2 in
    33-* | 63-* | 64-*) ;;
    33* | 63* | 64*) [ ${#COMPREPLY[@]} -gt 1 ] && COMPREPLY=("${shown[@]}") ;;
    esac
}

if type compopt >/dev/null 2>&1; then
    complete -F _reve reve
else # bash 3: file names wherever there is nothing else
    complete -o default -F _reve reve
fi
"""

_ZSH = r"""#compdef reve
# Completion of reve for zsh. As _reve in a folder of $fpath; or, after compinit: eval "$(reve --show-completion zsh)"

_reve() {
    local command=${(Q)words[1]} word=${(Q)PREFIX} given= line value help
    local -a lines items
    command=${command/#\~\//$HOME/}
    whence -p -- $command >/dev/null || command=reve # a function of another name

    lines=("${(@f)$(_REVE_COMPLETE=words _REVE_COMPLETE_WORD=$word \
        "$command" "${(@Q)words[2,CURRENT-1]}" 2>/dev/null </dev/null)}")

    if [[ $word == --*=* ]] && compset -P 1 '*='; then
        given=${word%%=*}=
    fi
    if [[ $lines[1] == :files ]]; then
        _files
        return
    fi
    for line in "${(@)lines:#}"; do
        value=${line%%$'\t'*}
        help=${line#$value}
        value=${value#$given}
        items+=("${value//:/\\:}${help/$'\t'/:}")
    done
    _describe -V reve items
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _reve "$@"
else
    compdef _reve reve
fi
"""

_FISH = r"""# Completion of reve for fish. Save it as ~/.config/fish/completions/reve.fish: only a file in that folder
# replaces the options that fish reads from the manual page.

function __reve_complete
    set -l words (commandline -opc)
    set -l command (string replace -r '^~/' "$HOME/" -- $words[1])
    command -q -- $command; or set command reve # a function of another name
    set -l typed (commandline -ct)
    set -l word (string replace -r -a '[\'"\\\\]' '' -- "$typed")
    set -l lines (env _REVE_COMPLETE=words _REVE_COMPLETE_WORD="$word" $command $words[2..-1] 2>/dev/null </dev/null)
    if test "$lines" = :files
        set -l option (string match -r '^--[^=]*=' -- $word)
        set -l path (string replace -r '^--[^=]*=' '' -- "$typed")
        for file in (complete -C "__fish_command_without_completions $path")
            echo "$option$file"
        end
    else
        string join \n -- $lines
    end
end

complete -c reve -f -k -a '(__reve_complete)'
"""

_POWERSHELL = r"""# Completion of reve for PowerShell 5.1 and later. In $PROFILE:
#     reve --show-completion powershell | Out-String | Invoke-Expression

Register-ArgumentCompleter -Native -CommandName reve -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $words = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object {
        if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value }
        else { $_.Extent.Text }
    })
    $command = $words[0]
    $words = @($words | Select-Object -Skip 1)
    $word = "$wordToComplete".Trim([char[]]"`"'")

    $lines = @()
    try {
        $env:_REVE_COMPLETE = 'words'
        $env:_REVE_COMPLETE_WORD = $word
        $lines = @(& $command @words 2>$null)
    } catch {
    } finally {
        Remove-Item Env:_REVE_COMPLETE, Env:_REVE_COMPLETE_WORD -ErrorAction SilentlyContinue
    }

    if ($lines.Count -eq 0) {
        return '' # without it PowerShell completes file names
    }
    if ($lines[0] -eq ':files') {
        $option = if ($word -match '^--[^=]*=') { $Matches[0] } else { '' }
        $path = $word.Substring($option.Length)
        foreach ($file in [System.Management.Automation.CompletionCompleters]::CompleteFilename($path)) {
            [System.Management.Automation.CompletionResult]::new(
                $option + $file.CompletionText, $file.ListItemText, $file.ResultType, $file.ToolTip)
        }
        return
    }
    foreach ($line in $lines) {
        $value, $help = $line -split "`t", 2
        if (-not $help) { $help = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)
    }
}
"""

SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH, "powershell": _POWERSHELL}
