# Names of deployments and of a registry's images.
_provision_names() {
    local -a names open
    names=("${(@f)$("${words[1]}" complete "$((CURRENT - 1))" -- "${words[@]}" 2>/dev/null)}")
    names=(${names:#})
    if (( ${#names} == 0 )); then
        _provision "$@"
        return
    fi
    open=(${(M)names:#*[:/]})
    names=(${names:#*[:/]})
    (( ${#open} )) && compadd -S '' -- "${open[@]}"
    (( ${#names} )) && compadd -- "${names[@]}"
}

if [ "$funcstack[1]" = "_provision" ]; then
    _provision_names "$@"
fi
compdef _provision_names provision
