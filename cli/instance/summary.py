"""What `up` says at its end: where everything is, and what to do next."""

import shlex

from cli.first_run import SampleLogin
from cli.instance.readiness import reachable_at
from settings import Settings


def summary(settings: Settings, sample: SampleLogin | None) -> str:
    return "\n".join(
        [
            "",
            "Kibali is ready.",
            *places(settings),
            "",
            *(sample_lines(settings, sample) if sample else []),
            "Next: ./kibali demo · ./kibali router add … · ./kibali status · ./kibali down",
        ]
    )


def places(settings: Settings) -> list[str]:
    """Ports and paths."""
    host = reachable_at(settings.http_bind)
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.http_port}"
    auth, acct = settings.radius_auth_port, settings.radius_acct_port
    return [
        f"  API         {url}  (docs/api.md tells how to use it)",
        f"  RADIUS      {settings.radius_bind}, UDP {auth} (authentication) and {acct} (accounting)",
        f"  PostgreSQL  {_postgres(settings)}",
        f"  Redis       {_redis(settings)}",
        f"  data        {settings.var}",
        f"  logs        {settings.var / 'log'}",
    ]


def sample_lines(settings: Settings, sample: SampleLogin) -> list[str]:
    """How to log in; after the first run also the passwords that are not shown again."""
    attributes = f"User-Name={sample.username},User-Password={sample.password},Message-Authenticator=0x00"
    server = f"{reachable_at(settings.radius_bind)}:{settings.radius_auth_port}"
    lines = [
        f"Sample subscriber {sample.username}, password {sample.password}. Log in:",
        f"  echo {shlex.quote(attributes)} | radclient -x {server} auth {shlex.quote(sample.radius_secret)}",
    ]
    if sample.admin_password:
        lines.append(f"Administrator {sample.admin_email}, password {sample.admin_password}. It is not shown again.")
    if sample.api_token:
        lines.append(f"API token {sample.api_token}. It is not shown again.")
    return [*lines, ""]


def _postgres(settings: Settings) -> str:
    if not settings.owns_postgres:
        return "as KIBALI_DATABASE_URL says"
    return f"127.0.0.1:{settings.postgres_port}, or psql -h {settings.run_dir} -p {settings.postgres_port} -U postgres"


def _redis(settings: Settings) -> str:
    return f"127.0.0.1:{settings.redis_port}" if settings.owns_redis else "as KIBALI_REDIS_URL says"
