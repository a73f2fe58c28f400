# Names of deployments and of a registry's images.
function __fish_provision_names
    set -l words (commandline -opc)
    $words[1] complete (count $words) -- $words (commandline -ct) 2>/dev/null
end
complete -c provision -f -a '(__fish_provision_names)'
