# Names of deployments and of a registry's images. Bash breaks words at colons: here they are put together again.
_provision_names() {
    local -a words=()
    local index=0 at word line="$COMP_LINE"
    for at in "${!COMP_WORDS[@]}"; do
        word="${COMP_WORDS[at]}"
        if (( at > 0 )) && [[ "$line" != [[:space:]]* && ( "$word" == : || "$word" == = || "${COMP_WORDS[at-1]}" == : || "${COMP_WORDS[at-1]}" == = ) ]]; then
            words[${#words[@]}-1]+="$word"
        else
            words+=("$word")
        fi
        line="${line#"${line%%[![:space:]]*}"}"
        line="${line#"$word"}"
        (( at == COMP_CWORD )) && { index=$(( ${#words[@]} - 1 )); break; }
    done
    local current="${words[index]}" kept="" IFS=$'\n'
    local -a names=($("${COMP_WORDS[0]}" complete "$index" -- "${words[@]}" 2>/dev/null))
    if (( ${#names[@]} == 0 )); then
        unset IFS
        _provision "$@"
        return
    fi
    [[ "$current" == *:* && "$COMP_WORDBREAKS" == *:* ]] && kept="${current%"${current##*:}"}"
    COMPREPLY=("${names[@]#"$kept"}")
    [[ ${#names[@]} -eq 1 && "${names[0]}" == *[:/] ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -F _provision_names -o bashdefault -o default provision
