_reve_table() { # set follow, opts and args for a command
    case $1 in
TABLE
    esac
}

_reve_kind() { # set kind to the values of an option
    local i
    kind=-
    for ((i = 0; i < ${#opts[@]}; i += 3)); do
        case " ${opts[i]#+} " in *" $1 "*) kind=${opts[i + 1]} ;; esac
    done
}

_reve_values() { # set lines to the values $1 that begin with $2, each after $3
    local each
    case $1 in
    :reve) return 1 ;;
    :files) lines=(:files) ;;
    *) for each in $1; do
        case $each in "$2"*) lines+=("$3$each") ;; esac
    done ;;
    esac
}

_reve_options() { # set lines to the options that begin with $1
    local i each names
    for ((i = 0; i < ${#opts[@]}; i += 3)); do
        names=${opts[i]}
        case $names in
        +*) names=${names#+} ;;
        *) [ "$given" = ' ' ] || for each in $names; do
            case $given in *" $each "*) continue 2 ;; esac
        done ;;
        esac
        for each in $names; do
            case $each in "$1"*) lines+=("$each"$'\t'"${opts[i + 2]}") ;; esac
        done
    done
}

_reve_fixed() { # set lines for the word $1 after the other words; fail if reve has to be asked
    [ -z "${ZSH_VERSION-}" ] || emulate -L ksh
    local IFS=$' \t\n' word=$1 place=reve given=' ' pending='' ended='' number=0 each kind i
    local -a follow opts args
    shift
    _reve_table reve
    for each in "$@"; do
        if [ -n "$pending" ]; then
            pending=
            case $each in -[[:alpha:]]* | --*) ;; *) continue ;; esac
        fi
        case $ended$each in
        --) ended=1 ;;
        -?*)
            given="$given${each%%=*} ${each:0:2} " # -n4 is -n
            _reve_kind "$each"
            [ "$kind" = - ] || pending=$each
            ;;
        *)
            number=$((number + 1))
            for ((i = 0; i < ${#follow[@]} && number == 1; i += 2)); do
                if [ "${follow[i]}" = "$each" ]; then
                    [ "$place" = reve ] || given=' '
                    place="$place $each" number=0
                    _reve_table "$place"
                    break
                fi
            done
            ;;
        esac
    done
    if [ -z "$ended" ]; then
        case $word in
        --*=*)
            _reve_kind "${word%%=*}"
            _reve_values "${kind#-}" "${word#*=}" "${word%%=*}="
            return
            ;;
        esac
        if [ -n "$pending" ]; then
            _reve_values "$kind" "$word" ''
            return
        fi
        case $word in -*)
            _reve_options "$word"
            return 0
            ;;
        esac
    fi
    if [ ${#follow[@]} -gt 0 ]; then
        for ((i = 0; i < ${#follow[@]} && number == 0; i += 2)); do
            case ${follow[i]} in "$word"*) lines+=("${follow[i]}"$'\t'"${follow[i + 1]}") ;; esac
        done
        return 0
    fi
    i=${#args[@]}
    if [ "$i" -gt 1 ] && [ "${args[i - 1]}" = + ]; then
        [ "$number" -lt $((i - 1)) ] || number=$((i - 2))
    fi
    if [ "$number" -lt "$i" ]; then
        _reve_values "${args[number]}" "$word" ''
    elif [ -z "$word$ended" ]; then
        _reve_options -
    fi
}
