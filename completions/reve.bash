# Completion of reve for bash 3.2 and later. In ~/.bashrc: eval "$(reve --show-completion bash)"

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
