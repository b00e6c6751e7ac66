# For bash, to be sourced by the scripts that build images.

# pip's index of this machine, if it has one of its own. Indexes in its file system do not exist inside a build.
pip_configuration() {
    local name key value
    echo '[global]'
    for name in INDEX_URL EXTRA_INDEX_URL TRUSTED_HOST PROXY DEFAULT_TIMEOUT; do
        key=${name,,}
        key=${key//_/-}
        name=PIP_$name
        value=${!name:-$(python3 -m pip config get "global.$key" 2>/dev/null || true)}
        value=$(printf '%s\n' $value | sed '/^file:/d' | tr '\n' ' ')
        [ -z "${value// /}" ] || echo "$key = $value"
    done
}
