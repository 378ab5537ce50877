# shellcheck shell=bash
# The virtual environment: of the Python that FreeRADIUS embeds, with exactly what requirements/NAME.txt pins.
# $venv/installed holds what it was made from, and is written last: no file, no finished installation.

# stamp NAME: what $venv/installed must say.
stamp() {
    local hash
    hash=$(sha256sum <"$checkout/requirements/$1.txt")
    printf '%s %s %s %s' "$1" "${hash%% *}" "$python" "$venv"
}

# venv_ready runtime|test: whether nothing is to be done. test holds all of runtime.
venv_ready() {
    local installed
    [[ -x $venv/bin/python && -r $venv/installed ]] || return 1
    installed=$(<"$venv/installed")
    [[ $installed == "$(stamp test)" ]] || [[ $1 == runtime && $installed == "$(stamp runtime)" ]]
}

install_venv() {
    [[ $python_version =~ ^3\.1[123]$ ]] ||
        fail "FreeRADIUS embeds Python ${python_version:-of an unknown version} here, and Kibali runs on 3.11, 3.12 and 3.13"
    need_space "$checkout" "$venv_space_mb" 'installing the Python packages'
    provide_directory "$venv"
    step "installing Python packages ($1)" make_venv "$1"
}

make_venv() {
    local status=0
    if [[ $(cut -d ' ' -f 3- "$venv/installed" 2>/dev/null) != "$python $venv" ]]; then
        as_runner "$python" -m venv --clear "$venv" || return
    fi
    as_runner rm -f "$venv/installed"
    lend_pip_conf
    as_runner env HOME="$runner_home" PIP_USER=0 "$venv/bin/python" -m pip install --require-hashes --no-input \
        --disable-pip-version-check --progress-bar off -r "$checkout/requirements/$1.txt" || status=$?
    [[ -z $runner ]] || as_runner rm -f "$venv/pip.conf"
    ((status == 0)) && as_runner sh -c 'printf "%s\n" "$2" >"$1.new" && mv "$1.new" "$1"' sh "$venv/installed" "$(stamp "$1")"
}

# Root's own pip configuration (an index, a certificate) counts for the user who installs in root's place, while he does.
lend_pip_conf() {
    local file
    [[ -n $runner ]] || return 0
    for file in "${PIP_CONFIG_FILE:-}" "${XDG_CONFIG_HOME:-$HOME/.config}/pip/pip.conf" "$HOME/.pip/pip.conf"; do
        if [[ -f $file ]] && ! as_runner test -r "$file"; then
            as_runner sh -c 'umask 077 && cat >"$1"' sh "$venv/pip.conf" <"$file"
            unset PIP_CONFIG_FILE
            return
        fi
    done
}
