# Completion of ros for bash. Printed by "ros completion bash".

_ros_tree() {
    case "$1" in
        "ros") verbs="status boot events os service poweroff reboot halt shutdown completion" flags="--version --help -h" values="" names="" ;;
        "ros status") verbs="" flags="--json --help -h" values="" names="" ;;
        "ros boot") verbs="" flags="--svg --json --help -h" values="--svg" names="" ;;
        "ros events") verbs="" flags="--json --help -h" values="" names="" ;;
        "ros os") verbs="version" flags="--help -h" values="" names="" ;;
        "ros os version") verbs="" flags="--json --help -h" values="" names="" ;;
        "ros service") verbs="ps list logs plan spec up start stop restart kill rm" flags="--help -h" values="" names="" ;;
        "ros service ps") verbs="" flags="--quiet -q --json --help -h" values="" names="yes" ;;
        "ros service list") verbs="" flags="--json --help -h" values="" names="yes" ;;
        "ros service logs") verbs="" flags="--follow -f --lines -n --timestamps -t --json --help -h" values="--lines -n" names="yes" ;;
        "ros service plan") verbs="" flags="--json --help -h" values="" names="" ;;
        "ros service spec") verbs="" flags="--json --help -h" values="" names="yes" ;;
        "ros service up") verbs="" flags="--force-recreate --no-wait --help -h" values="" names="yes" ;;
        "ros service start") verbs="" flags="--no-wait --help -h" values="" names="yes" ;;
        "ros service stop") verbs="" flags="--timeout -t --no-wait --help -h" values="--timeout -t" names="yes" ;;
        "ros service restart") verbs="" flags="--timeout -t --no-wait --help -h" values="--timeout -t" names="yes" ;;
        "ros service kill") verbs="" flags="--signal -s --help -h" values="--signal -s" names="yes" ;;
        "ros service rm") verbs="" flags="--help -h" values="" names="yes" ;;
        "ros poweroff") verbs="" flags="--force -f --help -h" values="" names="" ;;
        "ros reboot") verbs="" flags="--force -f --help -h" values="" names="" ;;
        "ros halt") verbs="" flags="--force -f --help -h" values="" names="" ;;
        "ros shutdown") verbs="" flags="--poweroff -P -h --reboot -r --halt -H --force -f --help" values="" names="" ;;
        "ros completion") verbs="bash" flags="--help -h" values="" names="" ;;
        "ros completion bash") verbs="" flags="--help -h" values="" names="" ;;
        *) return 1 ;;
    esac
}

_ros() {
    local verbs flags values names
    local at=ros word i cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"
    _ros_tree "$at"
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        [[ "$at $word" == "ros s" ]] && word=service
        _ros_tree "$at $word" && at="$at $word"
    done
    COMPREPLY=()
    if [[ "$cur" != -* && " $values " == *" $prev "* && "$prev" == -* ]]; then
        if [[ "$prev" == --svg ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        fi
        return
    fi
    if [[ "$cur" == -* ]]; then
        verbs="$flags"
    elif [[ -n "$names" ]]; then
        verbs="$(ros service ps -q 2>/dev/null)"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur")
}

complete -F _ros ros
