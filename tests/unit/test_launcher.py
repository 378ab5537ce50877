"""The launcher `./kibali` and cli/install/, function by function; the commands they call are stand-ins."""

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from textwrap import dedent

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SHELL_FILES = [CHECKOUT / "kibali", CHECKOUT / ".ci/run", *sorted((CHECKOUT / "cli/install").glob("*.sh"))]
TOOLS = """awk bash cat chmod cp cut df dirname env find flock grep head id install ls mkdir mv readlink rm rmdir
    sed sh sha256sum sleep sort stat tail tee tr"""


class Machine:
    """A PATH with everyday tools and the stand-ins a test adds, and a shell that has sourced the launcher."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "bin"
        self.bin.mkdir()
        for tool in TOOLS.split():
            (self.bin / tool).symlink_to(str(shutil.which(tool)))

    def command(self, name: str, script: str) -> None:
        """A stand-in for a command; `script` is the body of a shell script."""
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def file(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def shell(self, script: str, source: str = "kibali", **environ: str) -> "subprocess.CompletedProcess[str]":
        """Runs `script` after sourcing the launcher or another part; everything it writes goes below `root`."""
        prelude = f"""
            set -euo pipefail
            source {CHECKOUT / source}
            PATH={self.bin}
            var={self.root}/var checkout=${{checkout:-{CHECKOUT}}} runner='' runner_home={self.root}
            mkdir -p $var/log
        """
        return subprocess.run(
            ["bash", "-c", prelude + script],
            env={"PATH": str(self.bin), "HOME": str(self.root), **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("file", SHELL_FILES, ids=lambda file: file.name)
def test_every_shell_file_parses(file: Path) -> None:
    assert subprocess.run(["bash", "-n", file], check=False).returncode == 0


def test_the_entry_points_are_executable() -> None:
    assert os.access(CHECKOUT / "kibali", os.X_OK)
    assert os.access(CHECKOUT / ".ci/run", os.X_OK)


ENTRY_HEAD = """\
# Written by Kibali: FreeRADIUS 3.2.5 or newer comes from here.
Types: deb
Suites: bookworm-backports
Components: main
"""


@pytest.mark.parametrize(
    ("name", "sources", "entry"),
    [
        (
            "debian.sources",
            """\
            Types: deb deb-src
            # a snapshot
            URIs: http://one.invalid/debian
             http://two.invalid/debian
            Suites: bookworm bookworm-updates
            Components: main contrib
            Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
            """,
            "URIs: http://one.invalid/debian\n http://two.invalid/debian\n"
            "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
        ),
        (
            "debian.sources",
            """\
            Types: deb
            URIs: http://security.invalid/debian-security
            Suites: bookworm-security
            Components: main

            Enabled: no
            Types: deb
            URIs: http://off.invalid/debian
            Suites: bookworm
            Components: main

            Types: deb
            URIs: mirror+file:/etc/apt/mirrors/debian.list
            Suites: bookworm
            Components: main
            Signed-By:
             -----BEGIN PGP PUBLIC KEY BLOCK-----
             .
             mDMEY865UxYJ
             -----END PGP PUBLIC KEY BLOCK-----
            """,
            "URIs: mirror+file:/etc/apt/mirrors/debian.list\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n"
            " mDMEY865UxYJ\n -----END PGP PUBLIC KEY BLOCK-----\n",
        ),
        (
            "debian.list",
            """\
            deb cdrom:[Debian GNU/Linux 12.0.0 _Bookworm_]/ bookworm main
            # deb http://commented.invalid/debian bookworm main
            deb-src http://source.invalid/debian bookworm main
            deb [ arch=amd64,arm64 signed-by=/usr/keys/k.gpg ] https://here.invalid/debian/ bookworm main contrib # x
            """,
            "URIs: https://here.invalid/debian/\nArchitectures: amd64 arm64\nSigned-By: /usr/keys/k.gpg\n",
        ),
        ("debian.list", "deb http://plain.invalid/debian stable main\n", "URIs: http://plain.invalid/debian\n"),
    ],
    ids=["several URIs", "third stanza with an embedded key", "one line with options", "suite named stable"],
)
def test_the_backports_entry_is_derived_from_the_machines_own_sources(
    machine: Machine, name: str, sources: str, entry: str
) -> None:
    machine.file(f"apt/sources.list.d/{name}", dedent(sources))
    machine.file("os-release", "ID=debian\nVERSION_CODENAME=bookworm\n")
    result = machine.shell(
        f"apt_dir={machine.root}/apt os_release={machine.root}/os-release; backports_entry", "cli/install/packages.sh"
    )
    assert result.stdout == ENTRY_HEAD + entry
    assert result.returncode == 0


def test_no_backports_entry_is_made_up_when_the_sources_do_not_serve_the_release(machine: Machine) -> None:
    machine.file(
        "apt/sources.list", "deb http://other.invalid/x focal main\ndeb http://c.invalid/debian bookworm contrib\n"
    )
    machine.file("os-release", "ID=debian\nVERSION_CODENAME=bookworm\n")
    result = machine.shell(
        f"apt_dir={machine.root}/apt os_release={machine.root}/os-release; backports_entry", "cli/install/packages.sh"
    )
    assert (result.returncode, result.stdout) == (1, "")


MADISON_BACKPORTS = (
    "freeradius | 3.2.7+dfsg-1~bpo12+1 | http://m.invalid/debian bookworm-backports/main amd64 Packages\n"
    "freeradius | 3.2.1+dfsg-4+deb12u1 | http://m.invalid/debian bookworm/main amd64 Packages\n"
)


@pytest.mark.parametrize(
    ("candidate", "madison", "suite", "status"),
    [
        ("3.2.7+dfsg-1", "", "", 0),
        ("3.2.5+dfsg-3~ubuntu24.04.1", "", "", 0),
        ("3.2.1+dfsg-4+deb12u1", MADISON_BACKPORTS, "/bookworm-backports", 0),
        ("3.2.1+dfsg-4+deb12u1", MADISON_BACKPORTS.splitlines()[1] + "\n", "", 1),
        ("3.0.26~dfsg~git20220223", "", "", 1),
        ("(none)", "", "", 1),
    ],
)
def test_freeradius_comes_from_the_suite_that_has_a_new_enough_one(
    machine: Machine, candidate: str, madison: str, suite: str, status: int
) -> None:
    listing = machine.file("madison", madison)
    machine.command(
        "apt-cache", f"case $1 in policy) printf '  Candidate: %s\\n' '{candidate}';; madison) cat {listing};; esac"
    )
    result = machine.shell("freeradius_suite", "cli/install/packages.sh")
    assert (result.stdout, result.returncode) == (suite, status)


def test_a_release_without_a_new_enough_freeradius_is_told_so(machine: Machine) -> None:
    machine.command("apt-cache", "[ $1 != policy ] || echo '  Candidate: 3.0.26'")
    machine.file("os-release", "ID=ubuntu\nVERSION_CODENAME=jammy\n")
    result = machine.shell(
        f"os_release={machine.root}/os-release; choose_versions freeradius", "cli/install/packages.sh"
    )
    assert result.returncode == 1
    assert "apt offers FreeRADIUS 3.0.26 here, and Kibali needs 3.2.5 or newer" in result.stderr


def test_an_installed_freeradius_that_is_too_old_and_held_is_named(machine: Machine) -> None:
    machine.command("freeradius", "echo 'radiusd: FreeRADIUS Version 3.2.1, for host x86_64-pc-linux-gnu'")
    machine.command("apt-mark", "echo freeradius; echo bash")
    result = machine.shell("refuse_old_freeradius", "cli/install/packages.sh")
    assert result.returncode == 1
    assert result.stderr.startswith(
        "kibali: FreeRADIUS 3.2.1 is installed and apt could not upgrade it to 3.2.5 or newer: on hold: freeradius"
    )


def complete(machine: Machine, freeradius: str = "3.2.7", postgresql: str = "15", redis: str = "7.0.15") -> str:
    """Servers of these versions (none for an empty one) on the machine; returns what a shell needs to see them."""
    rlm = machine.file("rlm_python3.so", "") if freeradius else machine.root / "absent"
    if freeradius:
        machine.command("freeradius", f"echo 'radiusd: FreeRADIUS Version {freeradius}, for host x86_64-pc-linux-gnu'")
        machine.command("radclient", "")
    if postgresql:
        machine.file(f"pg/{postgresql}/bin/initdb", "").chmod(0o755)
    if redis:
        machine.command("redis-server", f"echo 'Redis server v={redis} sha=00000000:0 malloc=jemalloc'")
    machine.command("ldd", "echo 'libpython3.11.so.1.0 => /lib/libpython3.11.so.1.0 (0x00)'")
    (machine.root / "lib/python3.11/ensurepip").mkdir(parents=True)
    machine.command("python3.11", "")
    return (
        f"rlm_python3_places=({rlm}) postgresql_root={machine.root}/pg python_lib_places=({machine.root}/lib);"
        "is_root() { false; };"
    )


@pytest.mark.parametrize(
    ("versions", "missing"),
    [
        ({}, ""),
        ({"freeradius": "3.2.5", "redis": "8.0.2", "postgresql": "17"}, ""),
        ({"freeradius": "3.2.1"}, "freeradius freeradius-python3 freeradius-utils"),
        ({"freeradius": ""}, "freeradius freeradius-python3 freeradius-utils python3-venv"),
        ({"postgresql": "14"}, "postgresql"),
        ({"postgresql": "", "redis": ""}, "postgresql redis-server"),
        ({"redis": "6.0.16"}, "redis-server"),
    ],
)
def test_only_what_is_absent_or_too_old_is_installed(machine: Machine, versions: dict[str, str], missing: str) -> None:
    result = machine.shell(complete(machine, **versions) + 'find_missing; echo "${missing_packages[*]}"')
    assert (result.stdout.strip(), result.stderr) == (missing, "")


def test_the_venv_package_is_of_the_python_that_freeradius_embeds(machine: Machine) -> None:
    given = complete(machine)
    machine.command("ldd", "echo 'libpython3.9.so.1.0 => /lib/libpython3.9.so.1.0 (0x00)'")
    result = machine.shell(given + 'find_missing; echo "${missing_packages[*]}"')
    assert result.stdout.strip() == "python3.9-venv"


MISSING_REDIS = "missing_names=(Redis) missing_packages=(redis-server); is_root() { false; }; need_space() { :; };"


def test_without_sudo_the_exact_command_for_root_is_named(machine: Machine) -> None:
    machine.command("apt-get", "exit 9")
    result = machine.shell(MISSING_REDIS + "install_system_packages")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "kibali: Redis missing and there is no sudo. Run as root: "
        "apt-get update && apt-get install --no-install-recommends redis-server "
        f"(or: {CHECKOUT}/kibali install, which also sets up the apt sources and keeps new services from starting)"
    ]


def test_a_sudo_that_refuses_is_answered_by_the_command_for_root(machine: Machine) -> None:
    machine.command("apt-get", "exit 9")
    machine.command("sudo", "echo 'sudo: a terminal is required to read the password' >&2; exit 1")
    result = machine.shell(MISSING_REDIS + "install_system_packages")
    assert result.returncode == 1
    assert (
        "Redis missing and sudo refused. Run as root: apt-get update && apt-get install"
        in result.stderr.splitlines()[-1]
    )


def test_sudo_installs_and_the_packages_are_looked_for_again(machine: Machine) -> None:
    given = complete(machine, redis="")
    machine.command("apt-get", "exit 9")
    redis = machine.bin / "redis-server"
    machine.command(
        "sudo", f"case $* in *packages.sh*) printf '#!/bin/sh\\necho v v=7.2.0\\n' >{redis}; chmod +x {redis};; esac"
    )
    result = machine.shell(given + "need_space() { :; }; find_missing; install_system_packages; echo all there")
    assert result.stdout == "all there\n"
    assert "installing Redis: done in" in result.stderr


def test_what_came_but_is_too_old_is_not_taken(machine: Machine) -> None:
    given = complete(machine, redis="6.0.16")
    machine.command("apt-get", "exit 9")
    machine.command("sudo", "")
    result = machine.shell(given + "need_space() { :; }; find_missing; install_system_packages")
    assert result.returncode == 1
    assert "installed redis-server, but what came is too old or incomplete" in result.stderr.splitlines()[-1]


def test_without_apt_the_things_to_install_by_hand_are_named(machine: Machine) -> None:
    result = machine.shell(MISSING_REDIS + "install_system_packages")
    assert result.returncode == 1
    assert "missing: Redis. Without apt, install these by hand: FreeRADIUS ≥ 3.2.5" in result.stderr


def test_too_little_free_space_is_said_before_anything_is_installed(machine: Machine) -> None:
    machine.command("df", "printf 'Filesystem 1024-blocks Used Available\\n/dev/vda 9 9 204800\\n'")
    result = machine.shell("need_space /usr 1500 'installing Redis'")
    assert result.returncode == 1
    assert "installing Redis needs 1500 MB free on the file system of /usr, which has 200 MB" in result.stderr


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("noise\nE: Unable to locate package x\nmore", "E: Unable to locate package x"),
        (
            "Err:1 http://m.invalid\n  Temporary failure resolving 'm.invalid'\nE: Failed to fetch m",
            "no network, or a proxy is not set: E: Failed to fetch m",
        ),
        (
            "tar: write error: No space left on device\nE: Sub-process failed",
            "the disk is full: tar: write error: No space left on device",
        ),
        ("mkdir: Read-only file system", "the file system is read-only: mkdir: Read-only file system"),
        ("Could not resolve 'third.party'\nkibali: apt offers FreeRADIUS 3.0\nlater", "apt offers FreeRADIUS 3.0"),
        ("just words\n\n", "just words"),
    ],
)
def test_a_failure_is_told_by_the_line_that_says_why(machine: Machine, output: str, reason: str) -> None:
    result = machine.shell('reason "$OUTPUT"', OUTPUT=output)
    assert result.stdout == reason


def test_a_failed_step_says_one_line_and_logs_the_whole_output(machine: Machine) -> None:
    result = machine.shell("long() { echo first; echo E: second; return 3; }; step 'installing it' long")
    log = machine.root / "var/log/install.log"
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"kibali: installing it failed: E: second (all of it: {log})"
    assert log.read_text() == "== installing it\nfirst\nE: second\n"


def test_services_are_kept_down_only_while_packages_are_installed(machine: Machine) -> None:
    policy, conf = machine.root / "policy-rc.d", machine.root / "createcluster.d/kibali.conf"
    machine.command("dpkg-query", "exit 1")
    result = machine.shell(
        f"policy_rc_d={policy} no_cluster_conf={conf}; keep_services_down;"
        f"cat {conf}; {policy} || echo $?; let_services_be",
        "cli/install/packages.sh",
    )
    assert result.stdout.splitlines()[1:] == ["create_main_cluster = false", "101"]
    assert not policy.exists()
    assert not conf.parent.exists()


def test_a_policy_of_the_machines_owner_stays(machine: Machine) -> None:
    policy = machine.file("policy-rc.d", "#!/bin/sh\nexit 0\n")
    machine.command("dpkg-query", "exit 1")
    machine.shell(
        f"policy_rc_d={policy} no_cluster_conf={machine.root}/c/kibali.conf; keep_services_down; let_services_be",
        "cli/install/packages.sh",
    )
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"


# A stand-in for the interpreter: notes its arguments, makes an "environment" with itself in it, fails pip on demand.
FAKE_PYTHON = """
echo "$*" >>{calls}
case $2 in
venv) rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
pip) exit "${{PIP_STATUS:-0}}" ;;
esac
"""


@pytest.fixture
def checkout(machine: Machine) -> str:
    """Assignments for a checkout with two requirement files and a stand-in interpreter."""
    machine.file("checkout/requirements/runtime.txt", "runtime pins\n")
    machine.file("checkout/requirements/test.txt", "test pins\n")
    machine.command("python3.11", FAKE_PYTHON.format(calls=machine.root / "calls"))
    return (
        f"checkout={machine.root}/checkout venv={machine.root}/checkout/.venv;"
        f"python_version=3.11 python={machine.bin}/python3.11; need_space() {{ :; }};"
    )


def pip_and_venv_calls(machine: Machine) -> list[str]:
    calls = machine.root / "calls"
    done = [line.split()[1] for line in calls.read_text().splitlines()] if calls.exists() else []
    calls.unlink(missing_ok=True)
    return done


def test_python_packages_are_installed_once_and_again_only_when_the_pins_change(
    machine: Machine, checkout: str
) -> None:
    bring_up = checkout + "venv_ready runtime || install_venv runtime"
    assert machine.shell(bring_up).returncode == 0
    assert pip_and_venv_calls(machine) == ["venv", "pip"]
    assert machine.shell(bring_up).returncode == 0
    assert pip_and_venv_calls(machine) == []
    machine.file("checkout/requirements/runtime.txt", "newer pins\n")
    assert machine.shell(bring_up).returncode == 0
    assert pip_and_venv_calls(machine) == ["pip"]


def test_an_environment_for_tests_serves_at_run_time_but_not_the_reverse(machine: Machine, checkout: str) -> None:
    machine.shell(checkout + "install_venv runtime")
    assert machine.shell(checkout + "venv_ready test").returncode == 1
    machine.shell(checkout + "install_venv test")
    assert machine.shell(checkout + "venv_ready test && venv_ready runtime").returncode == 0


def test_an_interrupted_installation_is_begun_anew(machine: Machine, checkout: str) -> None:
    result = machine.shell(checkout + "install_venv runtime", PIP_STATUS="1")
    assert result.returncode == 1
    assert pip_and_venv_calls(machine) == ["venv", "pip"]
    assert machine.shell(checkout + "venv_ready runtime").returncode == 1
    assert machine.shell(checkout + "install_venv runtime").returncode == 0
    assert pip_and_venv_calls(machine) == ["venv", "pip"]


def test_a_moved_checkout_or_another_python_makes_a_new_environment(machine: Machine, checkout: str) -> None:
    machine.shell(checkout + "install_venv runtime")
    pip_and_venv_calls(machine)
    machine.command("python3.12", FAKE_PYTHON.format(calls=machine.root / "calls"))
    machine.shell(checkout + f"python={machine.bin}/python3.12; venv_ready runtime || install_venv runtime")
    assert pip_and_venv_calls(machine) == ["venv", "pip"]


def test_the_stamp_names_what_the_environment_was_made_from(machine: Machine, checkout: str) -> None:
    machine.shell(checkout + "install_venv runtime")
    digest = sha256(b"runtime pins\n").hexdigest()
    venv = machine.root / "checkout/.venv"
    assert (venv / "installed").read_text() == f"runtime {digest} {machine.bin}/python3.11 {venv}\n"


def test_a_python_kibali_does_not_run_on_is_refused(machine: Machine, checkout: str) -> None:
    result = machine.shell(checkout + "python_version=3.10; install_venv runtime")
    assert result.returncode == 1
    assert "FreeRADIUS embeds Python 3.10 here, and Kibali runs on 3.11, 3.12 and 3.13" in result.stderr


@pytest.mark.parametrize(
    ("owner_of_var", "owner_of_checkout", "runner"),
    [
        (None, "root", "kibali"),
        ("root", "root", "kibali"),
        ("kibali", "root", "kibali"),
        ("alice", "root", "alice"),
        (None, "alice", "alice"),
        ("kibali", "alice", "kibali"),
        (None, "UNKNOWN", "kibali"),
        (None, "nobody", "kibali"),
    ],
)
def test_root_hands_over_to_the_owner_or_to_kibali(
    machine: Machine, owner_of_var: str | None, owner_of_checkout: str, runner: str
) -> None:
    machine.command("stat", f"case $3 in */var) echo {owner_of_var};; *) echo {owner_of_checkout};; esac")
    machine.command("getent", "exit 0")
    machine.command("setpriv", "exit 0")
    forget = "" if owner_of_var else "rm -r $var;"
    result = machine.shell(forget + "id() { echo group; }; is_root() { true; }; choose_runner; echo $runner")
    assert result.stdout == f"{runner}\n"


def test_data_of_a_user_without_a_name_is_refused(machine: Machine) -> None:
    machine.command("stat", "case $2 in %u) echo 501;; *) echo UNKNOWN;; esac")
    result = machine.shell("is_root() { true; }; choose_runner")
    assert result.returncode == 1
    assert f"{machine.root}/var belongs to user id 501, which has no name here: chown -R root" in result.stderr


@pytest.mark.parametrize(
    ("given", "env_file", "var"),
    [
        (None, None, "{root}/checkout/var"),
        ("/srv/kibali", "KIBALI_VAR=/elsewhere\n", "/srv/kibali"),
        (None, '# data\nexport KIBALI_VAR = "/srv/from file"  \n', "/srv/from file"),
        (None, "KIBALI_VAR='/srv/one'\nKIBALI_VAR=/srv/two\n", "/srv/two"),
        ("~/data", None, "{root}/data"),
        ("a/../b", None, "{root}/b"),
        ("", None, "{root}/checkout/var"),
    ],
)
def test_the_data_directory_is_where_the_settings_say(
    machine: Machine, given: str | None, env_file: str | None, var: str
) -> None:
    machine.file("checkout/.env", env_file) if env_file else (machine.root / "checkout").mkdir()
    environ = {} if given is None else {"KIBALI_VAR": given}
    result = machine.shell(
        f'checkout={machine.root}/checkout; cd {machine.root}; find_var; echo "$var"; echo "${{KIBALI_VAR-unset}}"',
        **environ,
    )
    expected = var.format(root=machine.root)
    assert result.stdout.splitlines() == [expected, "unset" if expected.endswith("checkout/var") else expected]


def test_a_configuration_everyone_may_write_is_closed(machine: Machine) -> None:
    file = machine.file("checkout/freeradius/raddb/radiusd.conf", "")
    file.chmod(0o666)
    result = machine.shell(f"checkout={machine.root}/checkout; protect_raddb")
    assert file.stat().st_mode & 0o777 == 0o664
    assert "took everyone's write permission from" in result.stderr


@pytest.mark.parametrize("arguments", [["install", "now"], ["install", "--test", "twice"]])
def test_install_refuses_what_it_does_not_know(arguments: list[str]) -> None:
    result = subprocess.run([CHECKOUT / "kibali", *arguments], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (1, "kibali: usage: ./kibali install [--test]\n")


@pytest.mark.parametrize(
    ("command", "requirements"),
    [
        (["up", "--detach"], "runtime"),
        (["demo"], "runtime"),
        (["demo", "pay", "0712345678"], "runtime"),
        (["install"], "runtime"),
        (["install", "--test"], "test"),
        (["test", "unit"], "test"),
        (["bench", "radius"], "test"),
        # Its fake router reads scripts with a package that is for tests.
        (["demo", "router"], "test"),
    ],
)
def test_a_command_gets_the_packages_that_it_needs(tmp_path: Path, command: list[str], requirements: str) -> None:
    stand_ins = "; ".join(
        [f"find_var() {{ var={tmp_path}; }}", "choose_runner() { runner=; }"]
        + [f"{name}() {{ :; }}" for name in ("provide_directory", "as_runner", "drop_foreign_caches")]
        + ['bring_up() { echo "$1"; exit 0; }']
    )
    told = subprocess.run(
        # Under another name, lest it run by itself as it is sourced.
        ["bash", "-c", f'source "$1"; shift; {stand_ins}; main "$@"', "sh", str(CHECKOUT / "kibali"), *command],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == requirements
