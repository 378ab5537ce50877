"""Results on a terminal: the tables that matter, in colour."""

from rich.markup import escape
from rich.table import Table

from bench import report
from bench.peer import PEERS
from bench.results import Results
from bench.targets import targets
from cli.output import console

_VERDICTS = {True: "[green]met[/]", False: "[red]not met[/]", None: "–"}


def show(results: Results) -> None:
    out = console()
    peers = report.peers(results)
    out.print(f"[bold]Packets a second (and Kibali's multiple of it), {report.comparison(results)}[/]")
    rates = Table(box=None, pad_edge=False, header_style="bold")
    rates.add_column("")
    for peer in peers:
        rates.add_column(PEERS[peer].title, justify="right")
    for work in report.works(results):
        rates.add_row(report.WORK_TITLES[work], *(report.rate_and_multiple(results, peer, work) for peer in peers))
    out.print(rates)
    out.print()
    goals = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("target", "wanted", "found", ""):
        goals.add_column(heading)
    for target in targets(results):
        goals.add_row(escape(target.name), target.wanted, target.found, _VERDICTS[target.met])
    out.print(goals)
    out.print()
    out.print(escape(report.circumstances(results)), soft_wrap=True)
    for fault in results.faults():
        out.print(f"[red]✗[/] {escape(fault)}", soft_wrap=True)
