# shellcheck shell=bash
# Who runs Kibali, and what that user must be able to reach.
# PostgreSQL refuses root and nothing needs root once the packages are there, so root hands over to another user.

# Sets runner and runner_group; empty for an ordinary user, who runs everything as himself.
choose_runner() {
    local directory owner
    runner='' runner_group=''
    is_root || return 0
    for directory in "$var" "$checkout"; do
        [[ -d $directory ]] || continue
        owner=$(stat -c %U "$directory")
        case $owner:$directory in
        root:*) ;;
        UNKNOWN:"$var") # PostgreSQL wants a name for the user it runs as
            fail "$var belongs to user id $(stat -c %u "$var"), which has no name here: chown -R root $(printf %q "$var")"
            ;;
        UNKNOWN:* | nobody:*) ;;
        *) runner=$owner && break ;;
        esac
    done
    runner=${runner:-kibali}
    if ! getent passwd "$runner" >/dev/null; then
        useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$runner" ||
            fail "cannot create the system user $runner, who is to run Kibali instead of root"
        say "created the system user $runner, who runs Kibali instead of root"
    fi
    runner_group=$(id -gn "$runner")
    as_runner true || fail "cannot change from root to $runner here: run ./kibali as an ordinary user"
}

as_runner() {
    if [[ -n $runner ]]; then
        setpriv --reuid="$runner" --regid="$runner_group" --clear-groups --no-new-privs -- "$@"
    else
        "$@"
    fi
}

# provide_directory DIRECTORY: it exists, belongs to the runner and can be written by him.
provide_directory() {
    local problem
    if [[ ! -d $1 ]]; then
        problem=$({ mkdir -p -- "$1" && chmod 750 "$1"; } 2>&1) || fail "cannot create $1: $(cause_of "$problem")"
    fi
    if [[ -n $runner && $(stat -c %U "$1") == root ]]; then
        problem=$(chown -R --no-dereference "$runner:$runner_group" "$1" 2>&1) ||
            fail "cannot give $1 to $runner: $(cause_of "$problem")"
    fi
    if ! (cd "$1" 2>/dev/null && as_runner test -w .); then
        problem=$(cd "$1" 2>&1 && as_runner touch .writable 2>&1) || :
        fail "${runner:-$(id -un)} cannot write to $1, which belongs to $(stat -c %U "$1"): $(cause_of "$problem")." \
            'Run ./kibali as root or as the user it belongs to, or set KIBALI_VAR to another directory.'
    fi
}

# cause_of OUTPUT: what the system said, from "command: what: why".
cause_of() {
    local first=${1%%$'\n'*}
    printf '%s' "${first##*: }"
}

# open_way DIRECTORY: the runner may enter it and every directory on the way to it.
open_way() {
    local directory=$1 closed=()
    [[ -n $runner ]] && ! as_runner test -x "$directory" || return 0
    while [[ $directory != / && -n $directory ]]; do
        closed=("$directory" "${closed[@]}")
        directory=${directory%/*}
    done
    for directory in "${closed[@]}"; do
        as_runner test -x "$directory" && continue
        if setfacl -m "u:$runner:--x" "$directory" 2>/dev/null; then
            say "user $runner may now pass through $directory (setfacl -m u:$runner:--x; it may not list it)"
        else
            chmod o+x "$directory" || fail "cannot let $runner pass through $directory: put the checkout elsewhere, such as /opt/kibali"
            say "everyone may now pass through $directory (chmod o+x; the file system has no ACLs)"
        fi
    done
}

# The runner may read the checkout: a clone made under umask 077 keeps others out.
open_checkout() {
    local closed=() how=''
    [[ -n $runner ]] || return 0
    # What is in a closed directory shows only once that is open, so this repeats.
    while mapfile -d '' closed < <(closed_files) && ((${#closed[@]})); do
        if [[ $how != chmod ]] && setfacl -m "u:$runner:rX" -- "${closed[@]}" 2>/dev/null; then
            how="setfacl -m u:$runner:rX"
        else
            how='chmod'
            chmod o+rX -- "${closed[@]}" || fail "cannot let $runner read $checkout: put the checkout elsewhere, such as /opt/kibali"
        fi
    done
    case $how in
    setfacl*) say "user $runner may now read $checkout ($how where it was closed)" ;;
    chmod) say "everyone may now read $checkout (chmod o+rX where it was closed; the file system has no ACLs)" ;;
    esac
}

# What the runner cannot read of the checkout, each ended by a NUL; without what is in directories he cannot read.
closed_files() {
    as_runner find "$checkout" \( -path "$checkout/.git" -o -path "$venv" -o -path "$var" \) -prune -o \
        ! -type l \( ! -readable -o -type d ! -executable \) -prune -print0 2>/dev/null || :
}

# FreeRADIUS refuses a configuration that everyone may write to.
protect_raddb() {
    local raddb=$checkout/freeradius/raddb open
    [[ -d $raddb ]] || return 0
    open=$(find "$raddb" -perm -0002 ! -type l -print -quit)
    [[ -n $open ]] || return 0
    chmod -R o-w "$raddb" 2>/dev/null || :
    open=$(find "$raddb" -perm -0002 ! -type l -print -quit)
    [[ -z $open ]] || fail "everyone may write to $open, which FreeRADIUS refuses: chmod -R o-w $raddb (or clone to a file system with permissions)"
    say "took everyone's write permission from $raddb, which FreeRADIUS refuses"
}

# Tools that root ran by hand leave caches the runner cannot write to; they are only caches.
drop_foreign_caches() {
    [[ -n $runner && -d $var/cache ]] || return 0
    [[ -z $(find "$var/cache" -maxdepth 2 ! -user "$runner" -print -quit) ]] || rm -rf "$var/cache"
}

# Replaces this process. The environment is kept, less what points into root's own directories.
run_python() {
    local name
    export PYTHONPATH=$checkout
    # Without compiled modules every process of ours would start a second later.
    unset PYTHONHOME PYTHONDONTWRITEBYTECODE
    if [[ -n $runner ]]; then
        export HOME=$runner_home USER=$runner LOGNAME=$runner
        unset XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_RUNTIME_DIR
        for name in TMPDIR TMP TEMP; do
            [[ -z ${!name:-} ]] || as_runner test -w "${!name}" || unset "$name"
        done
        # He cannot write beside the sources.
        export PYTHONPYCACHEPREFIX=${PYTHONPYCACHEPREFIX:-$var/cache/pycache}
        exec setpriv --reuid="$runner" --regid="$runner_group" --clear-groups --no-new-privs -- "$venv/bin/python" -P -m cli "$@"
    fi
    exec "$venv/bin/python" -P -m cli "$@"
}
