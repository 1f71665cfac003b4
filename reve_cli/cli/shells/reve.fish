# Completion of reve for fish. Save it as ~/.config/fish/completions/reve.fish: only a file in that folder
# replaces the options that fish reads from the manual page.

function __reve_table -S # set follow, opts and args for a command
    switch "$argv"
TABLE
    end
end

function __reve_kind -S # set kind to the values of an option
    set kind -
    for row in $opts
        set -l parts (string split \t -- $row)
        if contains -- $argv[1] (string split ' ' -- (string trim -l -c + -- $parts[1]))
            set kind $parts[2]
        end
    end
end

function __reve_starting # print the other words, if they begin with the first
    string match -r -- '^'(string escape --style=regex -- "$argv[1]")'.*' $argv[2..-1]
end

function __reve_values # print the values $argv[1] that begin with $argv[2], each after $argv[3]
    switch "$argv[1]"
        case :reve
            return 1
        case :files
            echo :files
        case '*'
            set -l found (__reve_starting "$argv[2]" (string split -n ' ' -- "$argv[1]"))
            string join \n -- "$argv[3]"$found
    end
    return 0
end

function __reve_options -S # print the options that begin with $argv[1]
    for row in $opts
        set -l parts (string split \t -- $row)
        set -l names (string split ' ' -- (string trim -l -c + -- $parts[1]))
        set -l gone
        for name in $names
            if contains -- $name $given; and not string match -q -- '+*' $parts[1]
                set gone yes
            end
        end
        if test -z "$gone"
            for name in (__reve_starting $argv[1] $names)
                string join \t -- $name $parts[3]
            end
        end
    end
end

function __reve_fixed # print the candidates for the first word after the others; fail if reve has to be asked
    set -l word $argv[1]
    set -l place reve
    set -l number 0
    set -l given
    set -l pending
    set -l ended
    set -l kind
    set -l follow
    set -l opts
    set -l args
    __reve_table reve
    for each in $argv[2..-1]
        if test -n "$pending"
            set pending
            string match -q -r -- '^(-[[:alpha:]]|--)' $each; or continue
        end
        if test "$ended$each" = --
            set ended yes
        else if string match -q -r -- '^-.' "$ended$each"
            set -a given (string replace -r '=.*' '' -- $each) (string sub -l 2 -- $each) # -n4 is -n
            __reve_kind $each
            test "$kind" = -; or set pending $each
        else
            set number (math $number + 1)
            if test $number -eq 1; and contains -- $each (string replace -r '\t.*' '' -- $follow)
                test "$place" = reve; or set given
                set place "$place $each"
                set number 0
                __reve_table $place
            end
        end
    end
    if test -z "$ended"
        if string match -q -r -- '^--[^=]*=' $word
            set -l option (string replace -r '=.*' '' -- $word)
            __reve_kind $option
            test "$kind" != -; or set kind
            __reve_values "$kind" (string replace -r '^[^=]*=' '' -- $word) $option=
            return
        end
        if test -n "$pending"
            __reve_values "$kind" "$word" ''
            return
        end
        if string match -q -r -- '^-' $word
            __reve_options $word
            return 0
        end
    end
    set -l most (count $args)
    if set -q follow[1]
        if test $number -eq 0
            __reve_starting "$word" $follow
        end
        return 0
    end
    if test $most -gt 1; and test "$args[-1]" = +; and test $number -ge (math $most - 1)
        set number (math $most - 2)
    end
    if test $number -lt $most
        set number (math $number + 1)
        __reve_values "$args[$number]" "$word" ''
        return
    end
    if test -z "$word$ended"
        __reve_options -
    end
    return 0
end

function __reve_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l word (string replace -r -a '[\'"\\\\]' '' -- "$typed")
    set -l lines (__reve_fixed "$word" $words[2..-1])
    if test $status -ne 0
        set -l command (string replace -r '^~/' "$HOME/" -- $words[1])
        command -q -- $command; or set command reve # a function of another name
        set lines (env _REVE_COMPLETE=words _REVE_COMPLETE_WORD="$word" $command $words[2..-1] 2>/dev/null </dev/null)
    end
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
