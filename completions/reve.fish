# Completion of reve for fish. Save it as ~/.config/fish/completions/reve.fish: only a file in that folder
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
