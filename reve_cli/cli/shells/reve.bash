# Completion of reve for bash 3.2 and later. In ~/.bashrc: eval "$(reve --show-completion bash)"

FIXED

_reve() {
    local line=${COMP_LINE:0:COMP_POINT} command=${COMP_WORDS[0]} before value help room rest pattern lists=
    local -a lines typed

    # The words, as a shell splits them: bash splits at = and : too.
    pattern="^[[:space:]]*(([^[:space:]\"'\\]|\\\\.|\"([^\"\\]|\\\\.)*\"|'[^']*')+)"
    rest=$line
    while [[ $rest =~ $pattern ]]; do
        value=${BASH_REMATCH[1]} rest=${rest:${#BASH_REMATCH[0]}}
        typed+=("${value//[\"\'\\]/}")
    done
    value=${rest#"${rest%%[![:space:]]*}"} # what is left has an open quote
    [ "$rest" = "$value" ] || typed+=('')
    rest=${#typed[@]}
    typed[rest-1]=${typed[rest-1]}${value//[\"\'\\]/}

    lines=()
    if ! _reve_fixed "${typed[rest-1]}" "${typed[@]:1:rest-2}"; then
        case $command in "~/"*) command=$HOME/${command:2} ;; esac
        type -P -- "$command" >/dev/null || command=reve # an alias, a quoted path
        while IFS= read -r value; do
            [ -z "$value" ] || lines+=("$value")
        done <<<"$(_REVE_COMPLETE=line "$command" "$line" 2>/dev/null </dev/null)"
    fi

    # Readline replaces $2, the part of the word after the last of COMP_WORDBREAKS; what stands before it stays.
    before=${line##*[[:space:]]}
    before=${before%"$2"}
    before=${before//[\"\'\\]/}

    COMPREPLY=()
    [ ${#lines[@]} -gt 0 ] || return 0
    if [ "${lines[0]}" = :files ]; then
        compopt -o default 2>/dev/null
        return 0
    fi
    compopt -o nosort 2>/dev/null # bash 4.4 and later: the newest job first

    # Where bash only lists the candidates, it shows their help as well: nothing of it is inserted.
    case ${COMP_TYPE-}$2 in
    33-* | 63-* | 64-*) ;;
    33* | 63* | 64*) [ ${#lines[@]} -eq 1 ] || lists=yes ;;
    esac
    for line in "${lines[@]}"; do
        value=${line%%$'\t'*}
        help=${line#"$value"}
        value=${value#"$before"}
        if [ -n "$lists" ] && [ -n "$help" ]; then
            room=$((${COLUMNS:-80} - ${#value} - 3))
            [ "$room" -le 0 ] || value="$value  ${help:1:room}"
        fi
        COMPREPLY+=("$value")
    done
}

if type compopt >/dev/null 2>&1; then
    complete -F _reve reve
else # bash 3: file names wherever there is nothing else
    complete -o default -F _reve reve
fi
