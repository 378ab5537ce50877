# shellcheck shell=bash
# Brings the missing system packages: as root directly, otherwise through sudo.

system_space_mb=1500
venv_space_mb=500

need_space() { # DIRECTORY MEGABYTES WHAT-FOR
    local free_kb
    free_kb=$(df -Pk "$1" | awk 'NR == 2 {print $4}')
    ((free_kb >= $2 * 1024)) ||
        fail "$3 needs $2 MB free on the file system of $1, which has $((free_kb / 1024)) MB: free some and run this again"
}

# Wants find_missing to have found something.
install_system_packages() {
    local names
    printf -v names '%s, ' "${missing_names[@]}"
    names=${names%, }
    if ! command -v apt-get >/dev/null; then
        fail "missing: $names. Without apt, install these by hand: FreeRADIUS ≥ $freeradius_minimum with rlm_python3 and" \
            "radclient, PostgreSQL ≥ $postgresql_minimum, Redis ≥ $redis_minimum, and venv for the Python that rlm_python3 is linked with"
    fi
    need_space /usr "$system_space_mb" "installing $names"
    become_root
    step "installing $names" "${root_command[@]}" bash "$checkout/cli/install/packages.sh" "${missing_packages[@]}"
    find_missing
    if [[ ${missing_packages[*]} == python3.*-venv ]]; then # of another version than the default, known only now
        step "installing ${missing_packages[*]}" "${root_command[@]}" bash "$checkout/cli/install/packages.sh" "${missing_packages[@]}"
        find_missing
    fi
    ((${#missing_packages[@]} == 0)) ||
        fail "installed ${missing_packages[*]}, but what came is too old or incomplete;" \
            "Kibali needs FreeRADIUS ≥ $freeradius_minimum, PostgreSQL ≥ $postgresql_minimum, Redis ≥ $redis_minimum (see $var/log/install.log)"
}

# Sets root_command: empty for root, sudo for others. Fails with the command for root to run.
become_root() {
    local name
    root_command=()
    ! is_root || return 0
    if ! command -v sudo >/dev/null; then
        fail "$names missing and there is no sudo. Run as root: $(command_for_root)"
    fi
    say "installing $names needs root, so through sudo; Kibali itself then runs as $(id -un)"
    if ! { sudo -n true 2>/dev/null || sudo -v; } || ! sudo -n -l env >/dev/null 2>&1; then
        fail "$names missing and sudo refused. Run as root: $(command_for_root)"
    fi
    root_command=(sudo -- env)
    for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        [[ -z ${!name:-} ]] || root_command+=("$name=${!name}")
    done
}

command_for_root() (
    # shellcheck source-path=SCRIPTDIR source=packages.sh
    source "$checkout/cli/install/packages.sh"
    suite=''
    if [[ " ${missing_packages[*]} " == *' freeradius '* ]] && ! suite=$(freeradius_suite) && is_debian; then
        suite=/$(codename)-backports
    fi
    suite=${suite#/}
    printf 'apt-get update && apt-get install --no-install-recommends %s%s' "${suite:+-t $suite }" "${missing_packages[*]}"
    printf ' (or: %q install, which also sets up the apt sources and keeps new services from starting)' "$checkout/kibali"
)
