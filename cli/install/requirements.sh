# shellcheck shell=bash
# What must be on the system, and which Debian packages bring what is not. Looks only; needs no root.

freeradius_minimum=3.2.5 # older ones send no Message-Authenticator, which RouterOS ≥ 7.15 insists on
postgresql_minimum=15
redis_minimum=7
rlm_python3_places=(/usr/lib/freeradius/rlm_python3.so /usr/lib64/freeradius/rlm_python3.so /usr/local/lib/rlm_python3.so)
postgresql_root=/usr/lib/postgresql
python_lib_places=(/usr/lib /usr/lib64 /usr/local/lib)

is_root() { ((EUID == 0)); }

version_at_least() { printf '%s\n' "$2" "$1" | sort -V -C; }

# Prints nothing if there is none.
freeradius_version() {
    local server
    server=$(command -v freeradius || command -v radiusd) || return 0
    "$server" -v 2>/dev/null | sed -n 's/.*FreeRADIUS Version \([0-9][0-9.]*\).*/\1/p' | head -n 1
}

rlm_python3() {
    local file
    for file in "${rlm_python3_places[@]}"; do
        [[ ! -e $file ]] || { printf '%s' "$file" && return 0; }
    done
    return 1
}

# Sets python_version (3.11 or the like) and python (its interpreter): of the Python that FreeRADIUS embeds, and so of the
# virtual environment; python3 of the PATH may be another (pyenv). Empty as long as there is none.
find_python() {
    local module
    python_version='' python=''
    module=$(rlm_python3) || return 0
    python_version=$(ldd "$module" 2>/dev/null | sed -n 's/.*libpython\(3\.[0-9]*\)\.so.*/\1/p' | head -n 1)
    [[ -n $python_version ]] || return 0
    python=/usr/bin/python$python_version
    [[ -x $python ]] || python=$(command -v "python$python_version") || python=''
}

has_freeradius() {
    local version
    version=$(freeradius_version)
    [[ -n $version ]] && version_at_least "$version" "$freeradius_minimum" &&
        rlm_python3 >/dev/null && command -v radclient >/dev/null
}

has_postgresql() {
    local directory major
    for directory in "$postgresql_root"/*/bin /usr/pgsql-*/bin; do
        major=${directory%/bin}
        major=${major##*[/-]}
        [[ ! -x $directory/initdb || ! $major =~ ^[0-9]+$ ]] || ((major < postgresql_minimum)) || return 0
    done
    return 1
}

has_redis() {
    local server version
    server=$(command -v redis-server || command -v valkey-server) || return 1
    version=$("$server" --version 2>/dev/null | sed -n 's/.* v=\([0-9][0-9.]*\).*/\1/p')
    [[ -n $version ]] && version_at_least "$version" "$redis_minimum"
}

# Debian keeps ensurepip, which a virtual environment begins with, in a package of its own.
has_venv() {
    local place
    [[ -n $python_version ]] || return 0 # asked again once FreeRADIUS is there
    [[ -n $python ]] || return 1
    for place in "${python_lib_places[@]}"; do
        [[ ! -d $place/python$python_version/ensurepip ]] || return 0
    done
    "$python" -c 'import ensurepip' 2>/dev/null
}

# What the benchmark measures itself against.
has_rlm_sql() {
    local file
    for file in "${rlm_python3_places[@]}"; do
        [[ ! -e ${file%/*}/rlm_sql_postgresql.so ]] || return 0
    done
    return 1
}

has_acl() { command -v setfacl >/dev/null; }

# Sets missing_names (for people) and missing_packages (for apt), both empty if all is there; and what find_python sets.
find_missing() { # [runtime|test]
    find_python
    missing_names=() missing_packages=()
    if ! has_freeradius; then
        missing_names+=(FreeRADIUS)
        missing_packages+=(freeradius freeradius-python3 freeradius-utils)
        [[ -n $python_version ]] || missing_packages+=(python3-venv)
    fi
    if [[ ${1:-runtime} == test ]] && ! has_rlm_sql; then
        missing_names+=("FreeRADIUS's SQL module")
        missing_packages+=(freeradius-postgresql)
    fi
    has_postgresql || { missing_names+=(PostgreSQL) && missing_packages+=(postgresql); }
    has_redis || { missing_names+=(Redis) && missing_packages+=(redis-server); }
    if ! has_venv; then
        missing_names+=("Python $python_version's venv")
        missing_packages+=("python$python_version-venv")
    fi
    # Needed by root alone, to let the unprivileged user into the checkout.
    ! is_root || has_acl || { missing_names+=(acl) && missing_packages+=(acl); }
}
