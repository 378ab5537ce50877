"""An import: a router is read once, then all of it is written in one transaction, or none of it."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from db import plan as plans
from db import tenant
from db.plan import Plan
from db.radius_session import Usage
from db.router import Router
from db.router_import import IpPool, RouterImport, RouterImportRow
from db.subscriber import Subscriber
from db.subscription import Device, Subscription
from db.subscription_life import validity_of
from isp.encryption import Keyring
from isp.router_import import SERVICES, Account, Kind, Pool, Profile, accounts, pool, profile
from isp.subscription import ValidityFrom, renew
from tasks.routeros_dialogue import Conversation, Row, sentence
from tasks.routeros_errors import MissingMenu

_PROFILE = ("name", "rate-limit", "idle-timeout", "address-list")
_READ = {
    "pool": ("/ip/pool/print", ("name", "ranges")),
    "ppp/profile": ("/ppp/profile/print", (*_PROFILE, "remote-address")),
    "ppp": (
        "/ppp/secret/print",
        ("name", "password", "profile", "service", "caller-id", "remote-address", "disabled", "comment"),
    ),
    "hotspot/profile": ("/ip/hotspot/user/profile/print", (*_PROFILE, "shared-users", "address-pool")),
    "hotspot": (
        "/ip/hotspot/user/print",
        ("name", "password", "profile", "address", "mac-address", "disabled", "comment", "dynamic"),
    ),
}
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('router_import'), CAST(:tenant_id AS integer))")
KINDS: tuple[Kind, ...] = ("ppp", "hotspot")


@dataclass(frozen=True, slots=True)
class Found:
    """What a router knows of its customers."""

    pools: Sequence[Pool]
    profiles: Sequence[Profile]
    accounts: Sequence[Account]


def read() -> Conversation[Found]:
    rows: dict[str, list[Row]] = {}
    for what, (command, proplist) in _READ.items():
        try:
            rows[what] = (yield sentence(command, proplist=proplist)).rows
        except MissingMenu:
            rows[what] = []
    return Found(
        [pool(row) for row in rows["pool"]],
        [profile(kind, row) for kind in KINDS for row in rows[f"{kind}/profile"]],
        [each for kind in KINDS for each in accounts(kind, rows[kind])],
    )


@dataclass(slots=True)
class Importer:
    session: Session
    asked: RouterImport
    router: Router
    keyring: Keyring
    now: datetime
    _outcomes: list[dict[str, Any]] = field(default_factory=list)

    def run(self, found: Found) -> None:
        """Writes what is new; in a dry run only what it would be."""
        self._pools(found.pools)
        plan_of, why_not = self._plans(found)
        # Two imports at once, of two routers of a tenant, must not both find a name free.
        self.session.execute(ONE_AT_A_TIME, {"tenant_id": self.router.tenant_id})
        new = self._new(found.accounts, why_not)
        if not self.asked.dry_run:
            self._write(new, plan_of)
        for account in new:
            self._note(account.kind, account.name, "new" if self.asked.dry_run else "imported")
        self._finish()

    def _pools(self, found: Sequence[Pool]) -> None:
        ours = select(IpPool.name, IpPool.ranges).where(IpPool.router_id == self.router.id)
        known: dict[str, str] = {row[0]: row[1] for row in self.session.execute(ours)}
        for each in found:
            if each.unfit:
                self._note("pool", each.name, "failed", each.unfit)
            elif known.get(each.name) == each.ranges:
                self._note("pool", each.name, "there")
            else:
                changed = f"Its ranges were {known[each.name][:200]}." if each.name in known else None
                self._note("pool", each.name, "new" if self.asked.dry_run else "imported", changed)
                if not self.asked.dry_run:
                    columns = {"ranges": each.ranges, "addresses": each.addresses}
                    row = {"tenant_id": self.router.tenant_id, "router_id": self.router.id, "name": each.name}
                    statement = upsert(IpPool).values({**row, **columns})
                    self.session.execute(
                        statement.on_conflict_do_update(index_elements=["router_id", "name"], set_=columns)
                    )

    def _plans(self, found: Found) -> tuple[dict[str, Plan | None], dict[str, str]]:
        """(profile → its plan, None if it is to be made in a dry run; profile → why it has none)."""
        used = Counter(account.profile_key for account in found.accounts)
        profiles = {each.key: each for each in found.profiles}
        plan_of: dict[str, Plan | None] = {}
        why_not: dict[str, str] = {}
        told: dict[str, Any] = {}
        for key, number in sorted(used.items()):
            known = profiles.get(key)
            guess = dict(known.guess) if known and known.guess else None
            try:
                plan_of[key] = self._plan(key, known, guess)
            except ValueError as error:
                why_not[key] = str(error)
            made = plan_of.get(key)
            told[key] = {
                "accounts": number,
                "plan_id": made.id if made else None,
                "guess": {name: value for name, value in (guess or {}).items() if value is not None},
                "reason": why_not.get(key),
            }
        self.asked.profiles = told
        return plan_of, why_not

    def _plan(self, key: str, known: Profile | None, guess: dict[str, Any] | None) -> Plan | None:
        """Raises ValueError with the reason why there is none."""
        plan_id = self.asked.plans.get(key)
        if plan_id is not None:
            found = self.session.get(Plan, plan_id)
            if found is None or found.tenant_id != self.router.tenant_id or found.archived_at is not None:
                raise ValueError(f"There is no plan {plan_id} on sale.")
            if found.service not in ("any", SERVICES[key.split("/")[0]]):  # type: ignore[index]
                raise ValueError(f"Plan {plan_id} is for {found.service}.")
            return found
        if guess is None:
            raise ValueError(f"Profile {key} has no plan: {(known and known.why_not) or 'it is not on the router.'}")
        confirmed = self.asked.confirmed.get("all") or key in self.asked.confirmed.get("profiles", ())
        if not confirmed and not self.asked.dry_run:
            raise ValueError(f"Profile {key} has no plan yet: confirm the guessed one, or say which plan it is.")
        return self._guessed(guess)

    def _guessed(self, guess: dict[str, Any]) -> Plan | None:
        of_tenant = Plan.tenant_id == self.router.tenant_id
        there = self.session.scalar(
            select(Plan).where(of_tenant, func.lower(Plan.name) == guess["name"].lower(), Plan.archived_at.is_(None))
        )
        if there is not None:
            same = all(getattr(there, name) == guess[name] for name in ("service", "upload_kbps", "download_kbps"))
            if not same:
                raise ValueError(f"Plan {there.id} has the name {there.name} and is another: say which plan it is.")
            return there
        return None if self.asked.dry_run else plans.create(self.session, self.router.tenant_id, guess)

    def _new(self, found: Sequence[Account], why_not: Mapping[str, str]) -> list[Account]:
        of_tenant = (Subscription.tenant_id == self.router.tenant_id) & (Subscription.status != "cancelled")
        names = select(Subscription.username_lower, Subscription.id).where(of_tenant)
        taken: dict[str, int] = {row[0]: row[1] for row in self.session.execute(names)}
        addresses = {
            str(address)
            for address in self.session.scalars(
                select(func.host(Subscription.framed_ip_address)).where(
                    of_tenant, Subscription.framed_ip_address.is_not(None)
                )
            )
        }
        seen: set[str] = set()
        new = []
        for account in found:
            name = account.name.lower()
            if account.unfit:
                self._note(account.kind, account.name, "failed", account.unfit)
            elif name in taken:
                self._note(account.kind, account.name, "there", subscription_id=taken[name])
            elif name in seen:
                self._note(account.kind, account.name, "failed", "Another account of this router has the same name.")
            elif account.profile_key in why_not:
                self._note(account.kind, account.name, "failed", why_not[account.profile_key])
            elif account.framed_ip_address in addresses:
                self._note(
                    account.kind,
                    account.name,
                    "failed",
                    f"{account.framed_ip_address} belongs to another subscription.",
                )
            else:
                seen.add(name)
                if account.framed_ip_address:
                    addresses.add(account.framed_ip_address)
                new.append(account)
        return new

    def _write(self, new: Sequence[Account], plan_of: Mapping[str, Plan | None]) -> None:
        if not new:
            return
        subscriber_ids = self._subscribers(new)
        zone = tenant.timezone_of(self.session, self.router.tenant_id)
        values = []
        for account, subscriber_id in zip(new, subscriber_ids, strict=True):
            plan = plan_of[account.profile_key]
            assert plan is not None
            begins = plan.validity_from != ValidityFrom.FIRST_LOGIN
            values.append(
                {
                    "tenant_id": self.router.tenant_id,
                    "subscriber_id": subscriber_id,
                    "plan_id": plan.id,
                    "service": SERVICES[account.kind],
                    "username": account.name,
                    "password_sealed": b"",
                    "status": "suspended" if account.disabled else "active",
                    "activated_at": self.now if begins else None,
                    "expires_at": renew(None, validity_of(plan), self.now, zone) if begins else None,
                    "framed_ip_address": account.framed_ip_address,
                    "bind_mac": account.mac is not None and account.kind == "ppp",
                    "bound_mac": account.mac if account.kind == "ppp" else None,
                }
            )
        returning = insert(Subscription).returning(Subscription.id, sort_by_parameter_order=True)
        ids = list(self.session.scalars(returning, values))
        sealed = [
            {"of": id_, "sealed": self.keyring.seal(account.password or account.name, f"subscription.password:{id_}")}
            for id_, account in zip(ids, new, strict=True)
        ]
        statement = (
            update(Subscription.__table__)  # type: ignore[arg-type]
            .where(Subscription.__table__.c.id == bindparam("of"))
            .values(password_sealed=bindparam("sealed"))
        )
        self.session.connection().execute(statement, sealed)
        usage = [{"subscription_id": id_, "tenant_id": self.router.tenant_id} for id_ in ids]
        self.session.execute(insert(Usage), usage)
        self._devices(new, ids)

    def _subscribers(self, new: Sequence[Account]) -> list[int]:
        """Of each account, in order: whoever has its phone number already, or somebody new."""
        of_tenant = (Subscriber.tenant_id == self.router.tenant_id) & Subscriber.archived_at.is_(None)
        phones = select(Subscriber.msisdn, Subscriber.id).where(of_tenant, Subscriber.msisdn.is_not(None))
        known: dict[str | None, int] = {row[0]: row[1] for row in self.session.execute(phones)}
        missing: dict[str, Account] = {}
        keys = []
        for account in new:
            msisdn = account.msisdn
            key = msisdn or f"{account.kind}/{account.name}"
            keys.append(key)
            if msisdn not in known:
                missing.setdefault(key, account)
        values = [
            {
                "tenant_id": self.router.tenant_id,
                "name": (" ".join(account.comment.split()) or account.name)[:200],
                "msisdn": account.msisdn,
                "note": account.comment or None,
            }
            for account in missing.values()
        ]
        made: dict[str, int] = {}
        if values:
            returning = insert(Subscriber).returning(Subscriber.id, sort_by_parameter_order=True)
            made = dict(zip(missing, self.session.scalars(returning, values), strict=True))
        return [known[key] if key in known else made[key] for key in keys]

    def _devices(self, new: Sequence[Account], ids: Sequence[int]) -> None:
        """A hotspot account's own device logs in by its MAC address; one that is somebody else's stays theirs."""
        values = [
            {"tenant_id": self.router.tenant_id, "mac": account.mac, "subscription_id": id_}
            for account, id_ in zip(new, ids, strict=True)
            if account.kind == "hotspot" and account.mac
        ]
        if values:
            self.session.execute(upsert(Device).on_conflict_do_nothing(), values)

    def _note(
        self, kind: str, name: str, outcome: str, reason: str | None = None, subscription_id: int | None = None
    ) -> None:
        self._outcomes.append(
            {
                "tenant_id": self.router.tenant_id,
                "import_id": self.asked.id,
                "kind": kind,
                "name": name,
                "outcome": outcome,
                "reason": reason,
                "subscription_id": subscription_id,
            }
        )

    def _finish(self) -> None:
        if self._outcomes:
            self.session.execute(insert(RouterImportRow), self._outcomes)
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for each in self._outcomes:
            counts[each["kind"]][each["outcome"]] += 1
        self.asked.counts = {kind: dict(of_kind) for kind, of_kind in counts.items()}
        self.asked.state, self.asked.error, self.asked.finished_at = "completed", None, self.now
