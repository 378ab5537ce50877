"""What commands print, and how they end."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cli.app import COMMANDS, Commands, kibali
from cli.failure import Failure
from cli.output import print_json, print_rows
from settings import SettingsError


def outcome_of(error: Exception) -> Result:
    """The end of a command that raises `error`, below the real root."""

    @click.command()
    def failing() -> None:
        raise error

    class Root(Commands):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
            return failing

    return CliRunner().invoke(Root(name="kibali"), ["failing"])


@pytest.mark.parametrize(
    ("error", "exit_code", "stderr"),
    [
        (
            Failure("no router bar-12. See: ./kibali router list"),
            1,
            "kibali: no router bar-12. See: ./kibali router list\n",
        ),
        (Failure("FATAL:\n  the  database\nis away"), 1, "kibali: FATAL: the database is away\n"),
        (SettingsError("KIBALI_HTTP_PORT must be a number."), 1, "kibali: KIBALI_HTTP_PORT must be a number.\n"),
    ],
)
def test_what_an_operator_can_put_right_is_one_line_and_status_1(error: Exception, exit_code: int, stderr: str) -> None:
    outcome = outcome_of(error)
    assert (outcome.exit_code, outcome.stderr, outcome.stdout) == (exit_code, stderr, "")


@pytest.mark.parametrize("arguments", [["nonsense"], ["up", "--nonsense"], ["run"], ["run", "nonsense"]])
def test_a_wrong_argument_is_status_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KIBALI_VAR", str(tmp_path))
    outcome = CliRunner().invoke(kibali, arguments)
    assert outcome.exit_code == 2
    assert "Usage: " in outcome.stderr


def test_an_unknown_setting_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIBALI_HTTP_PROT", "80")
    outcome = CliRunner().invoke(kibali, ["status"])
    assert outcome.exit_code == 1
    assert outcome.stderr.count("\n") == 1
    assert "KIBALI_HTTP_PROT" in outcome.stderr
    assert "Did you mean KIBALI_HTTP_PORT?" in outcome.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_exists_and_says_what_it_does(name: str) -> None:
    command = Commands().get_command(click.Context(kibali), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str()


def test_rows_are_a_table_of_the_chosen_columns(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [
        {"name": "café-1", "paid_kes": Decimal("1000.50"), "online": True, "secret": "x"},
        {"name": "[bold]not markup[/bold]", "paid_kes": None, "online": False, "secret": "y"},
    ]
    print_rows(rows, ("name", "paid_kes", "online"), as_json=False)
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert [[cell.strip() for cell in line if cell.strip()] for line in lines] == [
        ["name", "paid kes", "online"],
        ["café-1", "1000.50", "yes"],
        ["[bold]not markup[/bold]", "–", "no"],
    ]


def test_a_long_row_that_is_not_for_a_terminal_stays_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"name": "x" * 60, "detail": "y" * 300}], ("name", "detail"), as_json=False)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_no_rows_are_said_in_words_or_as_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], ("name",), as_json=False, empty="no routers yet")
    print_rows([], ("name",), as_json=True)
    assert capsys.readouterr().out == "no routers yet\n[]\n"


def test_json_holds_whole_rows_with_iso_times(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"name": "a", "since": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "price": Decimal("9.5"), "more": None}
    print_rows([row], ("name",), as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {"name": "a", "since": "2026-01-02T03:04:05+00:00", "price": "9.5", "more": None}
    ]


def test_json_keeps_letters_readable(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "Café Wafanyabiashara – Nyumbani"})
    assert "Café Wafanyabiashara – Nyumbani" in capsys.readouterr().out
