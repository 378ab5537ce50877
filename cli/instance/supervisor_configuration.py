"""What supervisord is told: every part, with its commands, its order, its log."""

import secrets
import shlex
import sys
from pathlib import Path

from cli.instance.files import write_atomically
from cli.instance.parts import GROUPS, Part, our_parts
from cli.instance.supervisor import log_file, password_file, server_url, socket_file
from settings import CHECKOUT, Settings

# A part that ended this often without having run for a second is FATAL until the guardian starts it again. The pauses
# between its starts grow by a second each, so none is longer than this many seconds.
QUICK_RETRIES = 4


def configuration_file(settings: Settings) -> Path:
    return settings.run_dir / "supervisor.conf"


def write_configuration(settings: Settings) -> None:
    """The configuration and the socket's password, a new one each time; both 0600."""
    password = secrets.token_urlsafe(24)
    write_atomically(password_file(settings), password)
    write_atomically(configuration_file(settings), _configuration(settings, password))


def command(settings: Settings) -> list[str]:
    """supervisord in the foreground. It stops everything in order when its parent dies."""
    program = [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "-c", str(configuration_file(settings))]
    return ["setpriv", "--pdeathsig=TERM", "--", *program]


def _configuration(settings: Settings, password: str) -> str:
    parts = our_parts(settings)
    sections = [
        _section("unix_http_server", file=socket_file(settings), chmod="0600", username="kibali", password=password),
        _section(
            "supervisord",
            nodaemon="true",
            silent="true",
            directory=CHECKOUT,
            pidfile=settings.run_dir / "supervisor.pid",
            logfile=log_file(settings, "supervisor"),
            logfile_maxbytes="10MB",
            logfile_backups=3,
            nocleanup="true",
        ),
        # supervisord has no RPC interface unless it is named.
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n",
    ]
    for priority, group in enumerate(GROUPS):
        names = [part.name for part in parts if part.group == group]
        if names:
            sections.append(_section(f"group:{group}", programs=",".join(names), priority=priority))
    sections += [_program(settings, part) for part in parts]
    return "\n".join(sections)


def _program(settings: Settings, part: Part) -> str:
    run = [sys.executable, "-m", "cli", "run", part.name]
    return _section(
        f"program:{part.name}",
        # Nothing outlives supervisord, however it ends.
        command=shlex.join(["setpriv", f"--pdeathsig={part.stop_signal}", "--", *run]),
        directory=CHECKOUT,
        serverurl=server_url(settings),
        autostart="false",  # what starts when is decided in start.py
        autorestart="true",
        startsecs=1,
        startretries=QUICK_RETRIES,
        stopsignal=part.stop_signal,
        stopwaitsecs=part.stop_within_s,
        stopasgroup="true",
        killasgroup="true",
        redirect_stderr="true",
        stdout_logfile=log_file(settings, part.name),
        stdout_logfile_maxbytes="10MB",
        stdout_logfile_backups=3,
    )


def _section(name: str, **values: object) -> str:
    """One section. The values hold nothing that supervisord would expand: see checks.check_paths."""
    lines = [f"{key} = {value}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])
