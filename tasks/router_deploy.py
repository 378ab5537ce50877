"""A deployment, as one job does it: each sentence is in the journal before it leaves.

So whoever dies, the next try knows what was done, what may have been, and what was not.

The stages are those that watchers see: verifying 10, connected 20, deploying 40, deployed 70, verifying deployment 85,
completed 100.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from db import event, job_life, router_deployment, router_discovery
from db.router import Router
from db.router_deployment import RouterDeployment, RouterDeploymentStep
from isp.encryption import Keyring
from isp.router_contents import RouterContents
from isp.router_diff import Change, apply, changes
from isp.router_menus import ACCOUNT_MENUS, ALL_MENUS, Row
from isp.router_service import ServiceConfig
from isp.router_service_check import check
from isp.router_wanted import RADIUS, RadiusClient, by_hand, wanted
from tasks import routeros
from tasks.router_access import target_of
from tasks.router_radius import check_radius
from tasks.routeros_change import Gone, inverse, is_done, sentence_of
from tasks.routeros_contents import read_contents, read_menu
from tasks.routeros_facts import read_facts
from tasks.running_job import RunningJob
from tasks.stops import LeaseLost

Clock = Callable[[], datetime]

ACCOUNTS_WITHIN_S = 120.0
"""For one menu, of a router with thousands of accounts and little processor."""


class NotDeployed(Exception):
    """The router did what it was told, and yet is not as it must be; in words, with the remedy."""


@dataclass(slots=True)
class Deployer:
    """One try of one deployment."""

    session: Session
    job: RunningJob
    deployment: RouterDeployment
    router: Router
    keyring: Keyring
    clock: Clock
    _rows: dict[str, list[Row]] = field(default_factory=dict)
    """What the router has, as far as we know, menu by menu."""

    def deploy(self, config: ServiceConfig, radius: RadiusClient) -> None:
        """Raises RouterError, ServiceFault, NotDeployed, RadiusFails, LeaseLost."""
        self._stage("verifying", 10)
        with routeros.connect(target_of(self.router, self.keyring)) as connection:
            self._stage("connected", 20)
            contents = self._read(connection)
            check(config, contents)
            if radius.address is None and not contents.find("/radius", comment=RADIUS):
                raise NotDeployed(
                    f"{self.router.name} does not know where our RADIUS is. Paste the bootstrap script into it again, "
                    "or set KIBALI_SERVER_ADDRESSES."
                )
            self._settle(contents.rows)
            due = wanted(config, radius, contents)
            self.deployment.notes = by_hand(config, contents)
            steps = router_deployment.plan(self.session, self.deployment, changes(due, contents), self.keyring)
            self._stage("deploying", 40)
            self._send(connection, steps)
            self._stage("deployed", 70)
            self._stage("verifying deployment", 85)
            contents = self._read(connection)
            _refuse_difference(self.router.name, changes(due, contents))
            _refuse_inactive(self.router.name, contents)
            self.deployment.radius = connection.run(check_radius(self.router.name))
        router_discovery.store(self.session, self.router.tenant_id, self.router.id, contents, self.clock())

    def disable_accounts(self, known: Collection[str]) -> None:
        """Of the router's own accounts those whose names, in lower case, Kibali knows. Raises as `deploy`."""
        self._stage("verifying", 10)
        with routeros.connect(target_of(self.router, self.keyring)) as connection:
            self._stage("connected", 20)
            for menu, spec in ACCOUNT_MENUS.items():
                there = connection.run(read_menu(menu, spec), within_s=ACCOUNTS_WITHIN_S)
                self._rows[menu] = [*there] if there else []
            self._settle(lambda menu: self._rows[menu])
            due = [
                Change(menu, "set", _named(row), {"disabled": "no"}, {"disabled": "yes"}, row[".id"])
                for menu, rows in self._rows.items()
                for row in rows
                if row.get("name", "").lower() in known and "true" not in (row.get("disabled"), row.get("dynamic"))
            ]
            steps = router_deployment.plan(self.session, self.deployment, due, self.keyring)
            self._stage("deploying", 40)
            self._send(connection, steps)
            self._stage("deployed", 70)

    def undo(self, undone: RouterDeployment) -> None:
        """Goes back over the steps of another deployment, the last first. Raises as `deploy`."""
        self._stage("verifying", 10)
        with routeros.connect(target_of(self.router, self.keyring)) as connection:
            self._stage("connected", 20)
            steps = router_deployment.steps(self.session, undone.id, "applied", "sending")[::-1]
            for menu in dict.fromkeys(step.menu for step in steps):
                there = connection.run(read_menu(menu, ALL_MENUS[menu]))
                self._rows[menu] = [*there] if there else []
            self._stage("deploying", 40)
            for number, step in enumerate(steps):
                self._take_back(connection, step)
                self._within(40, 70, number + 1, len(steps))
            self._stage("deployed", 70)
        router_deployment.end_as_undone(self.session, undone, self.clock())

    # What is done.

    def _send(self, connection: routeros.Connection, steps: Sequence[RouterDeploymentStep]) -> None:
        for number, step in enumerate(steps):
            change = router_deployment.change_of(step, self.keyring)
            rows = self._rows.setdefault(change.menu, [])
            words = self._sentence(change, rows)
            router_deployment.mark(step, "sending", self.clock())
            self._commit()
            answer = connection.talk(*words)
            apply(change, rows, answer.ret)
            router_deployment.mark(step, "applied", self.clock())
            self._within(40, 70, number + 1, len(steps))
        self._commit()

    def _take_back(self, connection: routeros.Connection, step: RouterDeploymentStep) -> None:
        rows = self._rows[step.menu]
        change = router_deployment.change_of(step, self.keyring)
        back = inverse(change, rows)
        if back is None:
            state = "undone" if _is_as_before(change, rows) else "kept"
            router_deployment.mark(step, state, self.clock())
            return
        # Should it be lost, the step is still to be undone, and the next try looks again.
        self._commit()
        answer = connection.talk(*self._sentence(back, rows))
        apply(back, rows, answer.ret)
        router_deployment.mark(step, "undone", self.clock())

    def _sentence(self, change: Change, rows: Sequence[Row]) -> Sequence[str]:
        try:
            return sentence_of(change, rows)
        except Gone:
            raise NotDeployed(
                f"{self.router.name} lost {change.name} while it was being changed: somebody else is at work there. "
                "Deploy again."
            ) from None

    # What is known.

    def _read(self, connection: routeros.Connection) -> RouterContents:
        facts = connection.run(read_facts(self.router.name))
        contents = connection.run(read_contents(facts))
        self._rows = {menu: list(rows) for menu, rows in contents.menus.items()}
        return contents

    def _settle(self, rows: Callable[[str], Sequence[Row]]) -> None:
        """Of sentences of which an earlier try did not hear, looks whether the router did them."""
        for step in router_deployment.steps(self.session, self.deployment.id, "sending"):
            if is_done(router_deployment.change_of(step, self.keyring), rows(step.menu)):
                router_deployment.mark(step, "applied", self.clock())

    # What watchers see.

    def _stage(self, stage: str, percent: int) -> None:
        self.deployment.stage, self.deployment.percent = stage, percent
        data = {"deployment_id": self.deployment.id, "kind": self.deployment.kind, "stage": stage, "percent": percent}
        event.record(self.session, "router.progress", data, self.router.tenant_id, router_id=self.router.id)
        if not job_life.report_progress(self.session, self.job.claim, percent):
            raise LeaseLost
        self._commit()

    def _within(self, begin: int, end: int, done: int, of: int) -> None:
        self.deployment.percent = begin + (end - begin) * done // of

    def _commit(self) -> None:
        self.job.commit_step(self.session)


def _named(row: Row) -> dict[str, str]:
    """Of hotspot accounts two may have one name, on different servers."""
    return {name: row[name] for name in ("name", "server") if name in row}


def _is_as_before(change: Change, rows: Sequence[Row]) -> bool:
    """Of a change that has no inverse: whether that is because it is undone, not because somebody changed it again."""
    return change.action != "set" or is_done(Change(change.menu, "set", change.found_by, {}, change.before), rows)


def _refuse_difference(router_name: str, left: Iterable[Change]) -> None:
    names = [f"{change.action} {change.name}" for change in left]
    if names:
        raise NotDeployed(
            f"{router_name} took it all and yet is not as it was told to be: {'; '.join(names[:5])}. Somebody else may "
            "be at work there; deploy again."
        )


def _refuse_inactive(router_name: str, contents: RouterContents) -> None:
    for row in contents.rows("/ip hotspot"):
        if row.get("name", "").startswith("kibali-") and row.get("invalid") == "true":
            why = row.get(".about") or "its interface can not carry it"
            raise NotDeployed(f"{router_name} has the hotspot {row['name']}, but it does not run: {why}.")
