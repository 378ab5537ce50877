# shellcheck shell=bash
# What the launcher says, on stderr: plain lines, one progress line per long step, one line on failure.

say() { printf 'kibali: %s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

# step LABEL COMMAND…: runs COMMAND with its output in $var/log/install.log, showing LABEL and the seconds that pass.
# If COMMAND fails: one line with what failed, why, and where the whole output is; then exit 1.
step() {
    local label=$1 started=$SECONDS log=$var/log/install.log output status=0
    shift
    show_progress "$label" 9<&- &
    ticker_pid=$!
    output=$({ echo "== $label" && "$@" </dev/null 9<&-; } 2>&1 | append_to_log) || status=$?
    stop_progress
    if ((status != 0)); then
        fail "$label failed: $(reason "$output") (all of it: $log)"
    elif [[ -t 2 ]]; then
        printf '\r\033[Kkibali: %s … %d s\n' "$label" $((SECONDS - started)) >&2
    else
        say "$label: done in $((SECONDS - started)) s"
    fi
}

# Copies its input to the log and to its output. It is not root who writes into a directory of the runner's, and being
# there already spares the runner the way, which may still be closed to him. tee goes on when the disk is full.
append_to_log() (
    { cd "$var/log" && as_runner tee -a install.log; } 2>/dev/null || cat
)

# Ends with stop_progress. A counter on a terminal, otherwise a single line; says when apt waits for another apt.
show_progress() {
    local label=$1 started=$SECONDS waiting=''
    [[ -t 2 ]] || say "$label …"
    while :; do
        if [[ -z $waiting ]] && tail -n 1 "$var/log/install.log" 2>/dev/null | grep -q 'Waiting for cache lock'; then
            waiting=' (waiting for another apt or dpkg to finish)'
            [[ -t 2 ]] || say "$label$waiting …"
        fi
        [[ ! -t 2 ]] || printf '\r\033[Kkibali: %s%s … %d s' "$label" "$waiting" $((SECONDS - started)) >&2
        sleep 1 >/dev/null 2>&1
    done
}

stop_progress() {
    [[ -n ${ticker_pid:-} ]] || return 0
    kill "$ticker_pid" 2>/dev/null || true
    wait "$ticker_pid" 2>/dev/null || true
    ticker_pid=''
    [[ ! -t 2 ]] || printf '\r\033[K' >&2
}

# reason OUTPUT: the line of a failed command's output that says why, led by a plain word for the common causes.
reason() {
    local line cause=''
    line=$(printf '%s\n' "$1" | grep '^kibali: ' | tail -n 1) && printf '%s' "${line#kibali: }" && return
    line=$(printf '%s\n' "$1" | grep -E 'No space left on device|enough free space|Read-only file system' | tail -n 1) ||
        line=$(printf '%s\n' "$1" | grep -E '^(E|Err|ERROR|Error|error|dpkg|sudo|setpriv)\b.*:' | tail -n 1) ||
        line=$(printf '%s\n' "$1" | grep -v '^[[:space:]]*$' | tail -n 1)
    case $1 in
    *'No space left on device'* | *'enough free space'*) cause='the disk is full: ' ;;
    *'Read-only file system'*) cause='the file system is read-only: ' ;;
    *'Temporary failure resolving'* | *'Could not resolve'* | *'Temporary failure in name resolution'* | \
        *'Name or service not known'* | *'Network is unreachable'* | *'Could not connect to'* | \
        *'Failed to establish a new connection'* | *'Connection timed out'* | *'Unable to connect to'*)
        cause='no network, or a proxy is not set: '
        ;;
    esac
    printf '%s%s' "$cause" "$line"
}
