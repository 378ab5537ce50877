# shellcheck shell=bash
# Installs Debian packages as root and leaves nothing of theirs running: `bash packages.sh PACKAGE…`.
# The services of packages that were there before are not touched. Prints what apt prints; `kibali: …` lines say why it failed.

here=${BASH_SOURCE[0]%/*}
# shellcheck source-path=SCRIPTDIR source=messages.sh
source "$here/messages.sh"
# shellcheck source-path=SCRIPTDIR source=requirements.sh
source "$here/requirements.sh"

apt_dir=/etc/apt
os_release=/etc/os-release
policy_rc_d=/usr/sbin/policy-rc.d
no_cluster_conf=/etc/postgresql-common/createcluster.d/kibali.conf
lock_timeout_s=600
ours='Kibali: there only while its packages are installed; may be deleted'
apt_get=(apt-get -y -q -o "DPkg::Lock::Timeout=$lock_timeout_s" -o Dpkg::Use-Pty=0 -o Acquire::Retries=3)

codename() { sed -n 's/^VERSION_CODENAME="\{0,1\}\([a-z]*\)"\{0,1\}$/\1/p' "$os_release"; }
is_debian() { grep -q '^ID="\{0,1\}debian"\{0,1\}$' "$os_release"; }

candidate() { LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p'; }

# Where a new enough FreeRADIUS comes from, to be put behind the package's name: nothing if it is what apt would take
# anyway, /bookworm-backports if only that suite of the configured ones has it. Exit status 1 if none has.
freeradius_suite() {
    local version suite
    version=$(candidate freeradius)
    if [[ $version == [0-9]* ]] && version_at_least "$version" "$freeradius_minimum"; then
        return 0
    fi
    while IFS='|' read -r _ version suite; do
        version=${version//[[:space:]]/}
        if [[ $suite != *Sources* ]] && version_at_least "$version" "$freeradius_minimum"; then
            read -r _ suite _ <<<"$suite"
            printf '/%s' "${suite%%/*}"
            return 0
        fi
    done < <(LC_ALL=C apt-cache madison freeradius 2>/dev/null)
    return 1
}

# The FreeRADIUS packages that those Kibali uses depend on: freeradius_companions /SUITE.
freeradius_companions() {
    LC_ALL=C apt-cache show "freeradius$1" "freeradius-python3$1" "freeradius-utils$1" | sed -n 's/^\(Pre-\)\{0,1\}Depends: //p' |
        tr '|' ',' | tr ',' '\n' | sed -n 's/^ *\([a-z0-9-]*freeradius[a-z0-9-]*\).*/\1/p' | sort -u
}

# The apt entry of the backports suite, made from the machine's own sources. Exit status 1 if they do not show how.
backports_entry() {
    local file files=()
    for file in "$apt_dir"/sources.list "$apt_dir"/sources.list.d/*.list "$apt_dir"/sources.list.d/*.sources; do
        [[ ! -f $file || $file == */kibali-backports.sources ]] || files+=("$file")
    done
    ((${#files[@]})) && awk -v suite="$(codename)" -f "$here/backports.awk" "${files[@]}"
}

add_backports() {
    local file=$apt_dir/sources.list.d/kibali-backports.sources entry
    is_debian || return 1
    entry=$(backports_entry) || return 1
    echo "adding $file ($(codename)-backports)"
    printf '%s\n' "$entry" >"$file"
    chmod 644 "$file"
    if ! "${apt_get[@]}" update -o Dir::Etc::sourcelist="$file" -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0 ||
        ! freeradius_suite >/dev/null; then
        rm -f "$file"
        fail "apt could not fetch $(codename)-backports, where FreeRADIUS $freeradius_minimum or newer comes from" \
            "(no network, a proxy that is not set, or a mirror without it): try apt-get update"
    fi
}

# The lists' lock does not heed DPkg::Lock::Timeout. A source that fails must not stop us: what matters is what apt then offers.
update_lists() {
    local deadline=$((SECONDS + lock_timeout_s)) output
    while :; do
        output=$("${apt_get[@]}" update 2>&1) || :
        printf '%s\n' "$output"
        [[ $output == *'Could not get lock'* ]] || break
        ((SECONDS < deadline)) || break
        echo 'Waiting for cache lock: another apt-get update is running'
        sleep 2
    done
}

# =VERSION of FIRST, for PACKAGE beside it to fit, unless PACKAGE is FIRST or FIRST is not installed.
as_installed() { # FIRST PACKAGE
    local version
    [[ $1 != "$2" ]] || return 0
    version=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$1" 2>/dev/null) || return 0
    [[ $version != installed\ * ]] || printf '=%s' "${version#installed }"
}

# Sets install_arguments: the packages, FreeRADIUS from the suite that has a new enough one.
choose_versions() {
    local package suite=''
    if [[ " $*" == *' freeradius'* ]] && ! suite=$(freeradius_suite); then
        if ! add_backports || ! suite=$(freeradius_suite); then
            fail "apt offers FreeRADIUS $(candidate freeradius) here, and Kibali needs $freeradius_minimum or newer:" \
                "use Debian 12 with its backports suite, Debian 13 or Ubuntu 24.04 with universe, or check the network and $apt_dir/sources.list"
        fi
    fi
    install_arguments=()
    # apt takes the libraries of another suite only if they are named too.
    for package in "$@" ${suite:+$(freeradius_companions "$suite")}; do
        [[ $(candidate "$package") == [0-9]* ]] ||
            fail "apt offers no package $package here: check the network and $apt_dir/sources.list (Ubuntu: the universe component)"
        case $package in
        *freeradius*) install_arguments+=("$package${suite:-$(as_installed freeradius "$package")}") ;;
        *) install_arguments+=("$package") ;;
        esac
    done
}

installed_packages() { dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u; }

# Packages start their services as they are installed unless policy-rc.d says no; PostgreSQL also makes a cluster.
keep_services_down() {
    if [[ ! -e $policy_rc_d ]]; then
        printf '#!/bin/sh\n# %s\nexit 101\n' "$ours" >"$policy_rc_d"
        chmod 755 "$policy_rc_d"
    fi
    mkdir -p "${no_cluster_conf%/*}"
    printf '# %s\ncreate_main_cluster = false\n' "$ours" >"$no_cluster_conf"
}

let_services_be() {
    local directory=${no_cluster_conf%/*}
    ! grep -qs "$ours" "$policy_rc_d" || rm -f "$policy_rc_d"
    rm -f "$no_cluster_conf"
    dpkg-query -S "$directory" >/dev/null 2>&1 || rmdir --ignore-fail-on-non-empty "$directory" 2>/dev/null || :
}

# The servers among the packages that came since $before are stopped and not started at the next boot.
disable_new_services() {
    local unit name
    comm -13 <(printf '%s\n' "$before") <(installed_packages) | grep -E '^(freeradius|postgresql|redis|valkey)' |
        xargs -r dpkg-query -L | sed -n 's#^\(/usr\)\{0,1\}/lib/systemd/system/\([^/@]*\.service\)$#\2#p' | sort -u |
        while read -r unit; do
            name=${unit%.service}
            [[ ! -d /run/systemd/system ]] || systemctl stop "$unit" || :
            DPKG_MAINTSCRIPT_PACKAGE=$name deb-systemd-helper disable "$unit" || : # it serves only those who say they are dpkg
            [[ ! -e /etc/init.d/$name ]] || update-rc.d "$name" disable || :
        done || : # nothing new
}

clean_up() {
    let_services_be
    disable_new_services
}

refuse_old_freeradius() {
    local version held
    version=$(freeradius_version)
    [[ -n $version ]] && ! version_at_least "$version" "$freeradius_minimum" || return 0
    held=$(apt-mark showhold 2>/dev/null | grep -i radius | tr '\n' ' ') || :
    fail "FreeRADIUS $version is installed and apt could not upgrade it to $freeradius_minimum or newer${held:+: on hold: $held}"
}

install_packages() {
    export LC_ALL=C DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical APT_LISTCHANGES_FRONTEND=none
    export NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1 UCF_FORCE_CONFFOLD=1
    umask 022
    exec 8>/run/kibali-install.lock && flock 8
    let_services_be # an earlier run may have been killed
    before=$(installed_packages)
    trap clean_up EXIT
    trap 'exit 130' INT TERM HUP
    keep_services_down
    if [[ -n $(dpkg --audit 2>/dev/null) ]]; then
        echo 'finishing an interrupted installation'
        dpkg --configure -a --force-confdef --force-confold || :
    fi
    update_lists
    choose_versions "$@"
    "${apt_get[@]}" install --no-install-recommends -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        "${install_arguments[@]}" || {
        refuse_old_freeradius
        return 1
    }
    refuse_old_freeradius
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    set -euo pipefail
    install_packages "$@"
fi
