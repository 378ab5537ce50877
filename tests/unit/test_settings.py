"""Settings: where a value comes from, what is refused and how that reads, and what never shows."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from settings import DATABASE_ROLES, PREFIX, DatabaseRole, Secret, Settings, SettingsError

PASSWORD = "p@ss/w:rd?#%"


def load(checkout: Path, **environ: str) -> Settings:
    """Settings of a process with these KIBALI_ variables; `var` is under `checkout` unless given."""
    given = {PREFIX + name.upper(): value for name, value in environ.items()}
    return Settings.load({f"{PREFIX}VAR": str(checkout / "var")} | given, checkout)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_nothing_has_to_be_set(tmp_path: Path) -> None:
    settings = Settings.load({}, tmp_path)
    assert settings.http_port == 8080
    assert (settings.radius_auth_port, settings.radius_acct_port) == (1812, 1813)
    assert settings.owns_postgres
    assert settings.owns_redis


def test_the_environment_beats_dot_env_beats_secrets_env_beats_the_default(tmp_path: Path) -> None:
    write(tmp_path / "var/secrets.env", "KIBALI_HTTP_PORT=1\nKIBALI_POSTGRES_PORT=1\nKIBALI_REDIS_PORT=1\n")
    write(tmp_path / ".env", "KIBALI_HTTP_PORT=2\nKIBALI_POSTGRES_PORT=2\n")
    settings = load(tmp_path, http_port="3")
    assert (settings.http_port, settings.postgres_port, settings.redis_port) == (3, 2, 1)
    assert settings.radius_auth_port == 1812


def test_dot_env_says_where_secrets_env_is(tmp_path: Path) -> None:
    write(tmp_path / ".env", f"KIBALI_VAR={tmp_path / 'elsewhere'}\n")
    write(tmp_path / "elsewhere/secrets.env", "KIBALI_REDIS_PASSWORD=s3cret\n")
    assert Settings.load({}, tmp_path).redis_password == Secret("s3cret")


@pytest.mark.parametrize(
    ("line", "port"),
    [
        ("KIBALI_HTTP_PORT=81", 81),
        ("  KIBALI_HTTP_PORT = 81  ", 81),
        ("export KIBALI_HTTP_PORT=81", 81),
        ('KIBALI_HTTP_PORT="81"', 81),
        ("KIBALI_HTTP_PORT='81'", 81),
        ("# KIBALI_HTTP_PORT=81", 8080),
        ("", 8080),
        ("PATH=/usr/bin", 8080),
    ],
)
def test_lines_of_an_env_file(line: str, port: int, tmp_path: Path) -> None:
    write(tmp_path / ".env", f"\n{line}\n")
    assert load(tmp_path).http_port == port


@pytest.mark.parametrize("value", ["a=b", "'", '"half', "'a\"", "a#b", "ä"])
def test_a_value_in_an_env_file_is_kept_to_the_letter(value: str, tmp_path: Path) -> None:
    write(tmp_path / ".env", f"KIBALI_REDIS_PASSWORD={value}\n")
    assert load(tmp_path).redis_password.reveal() == value


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"http_port": "0"}, "KIBALI_HTTP_PORT must be a whole number from 1 to 65535, not '0'."),
        ({"http_port": "65536"}, "KIBALI_HTTP_PORT must be a whole number from 1 to 65535, not '65536'."),
        ({"http_port": ""}, "KIBALI_HTTP_PORT must be a whole number from 1 to 65535, not ''."),
        ({"http_port": "-1"}, "KIBALI_HTTP_PORT must be a whole number from 1 to 65535, not '-1'."),
        ({"http_port": "٨٠"}, "KIBALI_HTTP_PORT must be a whole number from 1 to 65535, not '٨٠'."),
        ({"log_level": "INFO"}, "KIBALI_LOG_LEVEL must be one of debug, info, warning, error, not 'INFO'."),
        ({"http_bind": "localhost"}, "KIBALI_HTTP_BIND must be an IPv4 or IPv6 address such as 0.0.0.0 or 127.0.0.1"),
        ({"radius_reject_delay_s": "6"}, "KIBALI_RADIUS_REJECT_DELAY_S must be a whole number from 0 to 5, not '6'."),
        ({"database_url": "mysql://h/db"}, "KIBALI_DATABASE_URL must be a URL that begins with postgresql://"),
        ({"redis_url": "127.0.0.1:6379"}, "KIBALI_REDIS_URL must be a URL that begins with redis:// or rediss://"),
        ({"payment_queries_s": "20,20"}, "KIBALI_PAYMENT_QUERIES_S must be whole seconds that rise, such as 20,60,120"),
        ({"payment_queries_s": "0,5"}, "KIBALI_PAYMENT_QUERIES_S must be whole seconds that rise"),
        ({"payment_queries_s": "a"}, "KIBALI_PAYMENT_QUERIES_S must be whole seconds that rise"),
        ({"payment_queries_s": ""}, "KIBALI_PAYMENT_QUERIES_S must be whole seconds that rise"),
        ({"http_prot": "80"}, "KIBALI_HTTP_PROT in the environment is not a setting. Did you mean KIBALI_HTTP_PORT?"),
        ({"zzzzzzzz": "80"}, "KIBALI_ZZZZZZZZ in the environment is not a setting. docs/settings.md lists them all."),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_in_one_line(
    environ: Mapping[str, str], says: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, **environ)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["database_url", "redis_url"])
def test_a_refused_url_is_not_shown_since_it_may_hold_a_password(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, **{name: "http://user:s3cret@h/db"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"KIBALI_HTTP_PORT=80\nnoise\n", ", line 2: expected NAME=VALUE."),
        (b"KIBALI_HTTP_PROT=80\n", "KIBALI_HTTP_PROT in "),
        (b"KIBALI_REDIS_PASSWORD=\xff\n", " is not UTF-8 text."),
    ],
)
def test_a_damaged_env_file_is_named(text: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(text)
    with pytest.raises(SettingsError) as caught:
        load(tmp_path)
    assert says in str(caught.value)
    assert str(tmp_path / ".env") in str(caught.value)


def test_a_secret_shows_itself_only_when_asked(tmp_path: Path) -> None:
    secret = Secret("s3cret")
    assert secret.reveal() == "s3cret"
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", f"{[secret]}"):
        assert "s3cret" not in shown
    settings = load(tmp_path, encryption_keys="k1:s3cret", redis_password="s3cret", database_password_api="s3cret")
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in "".join(settings.environment().values())
    assert (bool(secret), bool(Secret(""))) == (True, False)
    assert secret == Secret("s3cret")
    assert secret != Secret("other")
    assert secret != "s3cret"
    assert len({secret, Secret("s3cret")}) == 1


def test_every_password_and_key_is_a_secret() -> None:
    for spec in fields(Settings):
        if any(word in spec.name for word in ("password", "secret", "key")):
            assert spec.metadata["parse"] is Secret, spec.name


def test_every_setting_has_a_default_that_it_takes_and_a_sentence() -> None:
    for spec in fields(Settings):
        spec.metadata["parse"](spec.metadata["default"])
        assert spec.metadata["doc"].endswith("."), spec.name


def test_a_child_process_reads_the_same_settings_back(tmp_path: Path) -> None:
    settings = load(tmp_path, http_port="81", radius_bind="::1", log_level="debug", redis_password="s3cret")
    again = Settings.load(settings.environment(), tmp_path)
    for spec in fields(Settings):
        if spec.metadata["parse"] is not Secret:
            assert getattr(again, spec.name) == getattr(settings, spec.name), spec.name
    assert not again.redis_password


@pytest.mark.parametrize("depth", [1, 30])
def test_paths_of_sockets_are_short_however_deep_var_is(depth: int, tmp_path: Path) -> None:
    var = Path("/srv", *["kibali"] * depth)
    settings = load(tmp_path, var=str(var))
    assert len(str(settings.run_dir / ".s.PGSQL.54320")) < 107
    assert (settings.run_dir == var / "run") is (depth == 1)
    assert load(tmp_path, var=str(var)).run_dir == settings.run_dir
    assert load(tmp_path, var=str(var / "other")).run_dir != settings.run_dir


@pytest.mark.parametrize("role", DATABASE_ROLES)
def test_each_role_logs_in_with_its_own_password(role: DatabaseRole, tmp_path: Path) -> None:
    settings = load(tmp_path, **{f"database_password_{role}": PASSWORD}, database_url="postgresql://db:6000/isp")
    assert settings.database_dsn(role) == f"postgresql://kibali_{role}:p%40ss%2Fw%3Ard%3F%23%25@db:6000/isp"
    others = [other for other in DATABASE_ROLES if other != role]
    for other in others:
        with pytest.raises(SettingsError, match=f"KIBALI_DATABASE_PASSWORD_{other.upper()} is not set"):
            settings.database_dsn(other)


@pytest.mark.parametrize(
    ("url", "dsn"),
    [
        ("postgresql://db/isp", "postgresql://kibali_api:x@db/isp"),
        ("postgresql://db:6000/isp", "postgresql://kibali_api:x@db:6000/isp"),
        ("postgres://db/isp", "postgresql://kibali_api:x@db/isp"),
        ("postgresql://admin:s3cret@db/isp", "postgresql://kibali_api:x@db/isp"),
        ("postgresql://admin:s3%40cret@db/isp?sslmode=require", "postgresql://kibali_api:x@db/isp?sslmode=require"),
        ("postgresql://[2001:db8::1]:6000/isp", "postgresql://kibali_api:x@[2001:db8::1]:6000/isp"),
        (
            "postgresql://db1:6000,db2:6001/isp?target_session_attrs=read-write",
            "postgresql://kibali_api:x@db1:6000,db2:6001/isp?target_session_attrs=read-write",
        ),
        ("postgresql://db", "postgresql://kibali_api:x@db/kibali"),
        ("postgresql:///isp?host=/run/postgresql", "postgresql://kibali_api:x@/isp?host=/run/postgresql"),
    ],
)
def test_the_url_of_a_role_at_a_postgresql_of_the_operators(url: str, dsn: str, tmp_path: Path) -> None:
    settings = load(tmp_path, database_url=url, database_password_api="x")
    assert not settings.owns_postgres
    assert settings.database_dsn("api") == dsn


def test_the_url_of_a_role_at_the_private_postgresql(tmp_path: Path) -> None:
    settings = load(tmp_path, var="/srv/k", database_password_api="x", postgres_port="6000")
    assert settings.database_dsn("api") == "postgresql://kibali_api:x@/kibali?host=%2Fsrv%2Fk%2Frun&port=6000"
    assert settings.database_dsn("api", "other") == "postgresql://kibali_api:x@/other?host=%2Fsrv%2Fk%2Frun&port=6000"
    assert settings.database_admin_dsn() == "postgresql://postgres@/postgres?host=%2Fsrv%2Fk%2Frun&port=6000"


def test_an_administrators_url_keeps_its_user_and_changes_its_database(tmp_path: Path) -> None:
    settings = load(tmp_path, database_url="postgresql://admin:s3cret@db/isp?sslmode=require")
    assert settings.database_admin_dsn() == "postgresql://admin:s3cret@db/postgres?sslmode=require"
    assert settings.database_name == "isp"


def test_where_redis_is(tmp_path: Path) -> None:
    assert load(tmp_path, redis_password=PASSWORD, redis_port="6000").redis_dsn() == (
        "redis://:p%40ss%2Fw%3Ard%3F%23%25@127.0.0.1:6000/0"
    )
    assert load(tmp_path, redis_url="rediss://:x@r/1").redis_dsn() == "rediss://:x@r/1"
    with pytest.raises(SettingsError, match="KIBALI_REDIS_PASSWORD is not set"):
        load(tmp_path).redis_dsn()


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:81"),
        ("0.0.0.0", "http://127.0.0.1:81"),
        ("192.0.2.1", "http://192.0.2.1:81"),
        ("::", "http://[::1]:81"),
    ],
)
def test_a_process_on_this_machine_reaches_the_api(bind: str, url: str, tmp_path: Path) -> None:
    given = {"KIBALI_HTTP_BIND": bind, "KIBALI_HTTP_PORT": "81"}
    assert Settings.load(given, checkout=tmp_path).local_api_url == url


@pytest.mark.parametrize("value", ["wifi.example.net/{code}", "https://wifi.example.net/login", "ftp://x/{code}"])
def test_a_page_for_vouchers_says_where_the_code_goes(value: str, tmp_path: Path) -> None:
    assert load(tmp_path, voucher_url="https://x.example/{code}").voucher_url == "https://x.example/{code}"
    with pytest.raises(SettingsError, match="KIBALI_VOUCHER_URL must be a URL"):
        load(tmp_path, voucher_url=value)
