"""The papers against the code: the commands, settings, reasons, files and links that they name are there.

`python -m tests.unit.test_docs` writes the table of docs/settings.md anew.
"""

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from cli.app import kibali
from isp.entitlement import Accept
from isp.reasons import Reason, sentence
from isp.reply import attributes
from settings import CHECKOUT, PREFIX, Secret, Settings

PAPERS = [*sorted(CHECKOUT.glob("*.md")), *sorted(CHECKOUT.glob("docs/**/*.md"))]
SETTINGS = CHECKOUT / "docs" / "settings.md"
RADIUS = CHECKOUT / "docs" / "aaa.md"

# What the launcher does itself.
LAUNCHER_COMMANDS = {"install"}


def read(path: Path) -> str:
    return path.read_text("utf-8")


def name_of(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def settings_table() -> str:
    """Every setting as a row: its variable, its default, what it is."""
    rows = ["| variable | default | what it is |", "| --- | --- | --- |"]
    for spec in fields(Settings):
        default = spec.metadata["default"].replace(str(CHECKOUT), "").lstrip("/")
        if spec.metadata["parse"] is Secret:
            shown = "made by `./kibali up`"
        else:
            shown = f"`{default}`" if default else "none"
        rows.append(f"| `{PREFIX}{spec.name.upper()}` | {shown} | {spec.metadata['doc']} |")
    return "\n".join(rows) + "\n"


def table_of_settings_in(text: str) -> str:
    return text[text.index("| variable |") :]


def test_the_table_of_settings_is_current() -> None:
    assert table_of_settings_in(read(SETTINGS)) == settings_table(), "run python -m tests.unit.test_docs"


def table_rows(text: str) -> dict[str, list[str]]:
    """The first cell of each table row, its backticks taken off, and the cells after it."""
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            first, *rest = (cell.strip() for cell in line.strip("|").split("|"))
            rows |= {name.strip("`"): rest for name in first.split(", ")}
    return rows


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained(reason: Reason) -> None:
    cells = table_rows(read(RADIUS))[reason.value]
    try:
        said = sentence(reason, "en")
    except KeyError:  # of an accept
        assert len(cells) == 1
    else:
        assert cells[0] == said
        assert cells[1]


def test_every_attribute_sent_is_explained() -> None:
    everything = Accept(
        reason=Reason.OK,
        rate_limit="1k/1k",
        session_timeout_s=1,
        idle_timeout_s=1,
        interim_interval_s=60,
        total_limit_octets=1 << 33,
        input_limit_octets=1 << 33,
        output_limit_octets=1 << 33,
        framed_ip_address="192.0.2.1",
        framed_pool="pool",
        framed_ipv6_pool="pool6",
        delegated_ipv6_pool="prefixes",
        delegated_ipv6_prefix="2001:db8::/56",
        address_list="list",
    )
    sent = {name for name, _ in attributes(everything, "pppoe")}
    assert {*sent, "Class"} <= set(table_rows(read(RADIUS)))


def commands_in(text: str) -> list[list[str]]:
    """The words after each `./kibali`, up to the end of the line or of the code."""
    return [line.split() for line in re.findall(r"\./kibali((?: [^\s`|()…]+)*)", text)]


@pytest.mark.parametrize("paper", PAPERS, ids=name_of)
def test_every_command_named_exists_with_its_options(paper: Path) -> None:
    for words in commands_in(read(paper)):
        command: click.Command = kibali
        for word in words:
            if isinstance(command, click.Group) and re.fullmatch(r"[a-z][a-z-]*[.,;:]?", word):
                name = word.rstrip(".,;:")
                found = command.get_command(click.Context(command), name)
                assert found is not None or name in LAUNCHER_COMMANDS, f"{words}: there is no {name!r}"
                if found is None:
                    break
                command = found
            elif word.startswith("--") and word != "--help":
                option = word.split("=")[0]
                known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
                assert option in known, f"{words}: there is no {option}"


def anchors(text: str) -> set[str]:
    """As the web's renderers make them of headings."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("paper", PAPERS, ids=name_of)
def test_every_link_leads_somewhere(paper: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", read(paper)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (paper.parent / path).resolve() if path else paper
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(read(linked)), target


@pytest.mark.parametrize("paper", PAPERS, ids=name_of)
def test_every_file_named_is_there(paper: Path) -> None:
    for named in re.findall(r"`([a-z_]+/[\w./*-]*)`", read(paper)):
        if not named.startswith("var/"):
            assert list(CHECKOUT.glob(named.rstrip("/"))), named


@pytest.mark.parametrize("paper", PAPERS, ids=name_of)
def test_every_variable_named_is_a_setting(paper: Path) -> None:
    known = {PREFIX + spec.name.upper() for spec in fields(Settings)}
    assert set(re.findall(r"\bKIBALI_[A-Z_]+[A-Z]", read(paper))) <= known


def test_decisions_are_numbered_without_a_gap() -> None:
    decisions = sorted((CHECKOUT / "docs" / "adr").glob("*.md"))
    numbers = [int(path.name[:4]) for path in decisions]
    assert numbers == list(range(1, len(decisions) + 1))
    for number, path in zip(numbers, decisions, strict=True):
        text = read(path)
        assert text.startswith(f"# {number}. ")
        headings = [text.index(f"**{name}.**") for name in ("Context", "Decision", "Consequences")]
        assert headings == sorted(headings)


if __name__ == "__main__":
    text = read(SETTINGS)
    SETTINGS.write_text(text.replace(table_of_settings_in(text), settings_table()), "utf-8")
