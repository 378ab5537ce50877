"""What the tests of routers work with: a tenant, fake routers prepared by the bootstrap script, one worker."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import count
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from db import event, job_life, router_deployment, router_service, tenant
from db import router as routers
from db.engine import make_engine, session_factory, use_tenant
from db.router import Router
from db.router_deployment import RouterDeployment
from isp.encryption import Keyring
from isp.router_script import Bootstrap, Major, bootstrap_script
from settings import Settings
from tasks import deployment_requests
from tasks.registry import task_named
from tasks.running_job import RunningJob
from tests.fakes.routeros import RunningRouter, fake_routers
from tests.fakes.routeros_factory import CHR, HAP, Model
from tests.fakes.routeros_script import paste
from tests.integration.payment_bench import empty

SERVER = IPv4Address("127.0.0.1")
_numbers = count(1)


@dataclass
class RouterBench:
    engine: Engine
    sessions: sessionmaker[Session]
    """As workers have them."""
    offices: sessionmaker[Session]
    """As the API has them."""
    keyring: Keyring
    settings: Settings
    tenant_id: int
    fakes: dict[int, RunningRouter] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def office(self) -> Iterator[Session]:
        with self.offices() as session:
            yield use_tenant(session, self.tenant_id)
            session.commit()

    @contextmanager
    def platform(self) -> Iterator[Session]:
        engine = make_engine(self.settings, "platform", pool_size=1)
        try:
            with session_factory(engine).begin() as session:
                yield session
        finally:
            engine.dispose()

    def router(self, version: str = "7.16", *, model: Model = CHR, **options: Any) -> int:
        """One that is made known and was prepared; its id."""
        number = next(_numbers)
        fake = RunningRouter(version, model=model, configured=model is HAP, number=number, **options)
        values = {
            "name": f"router {number}",
            "nas_address": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            "api_address": str(SERVER),
        }
        with self.sessions.begin() as session:
            made = routers.create(
                session, self.tenant_id, values, radius_secret="secret-of-radius", keyring=self.keyring
            )
            password = routers.api_password(made, self.keyring)
        assert password is not None
        bootstrap = Bootstrap("kibali", password, (SERVER,), SERVER, "secret-of-radius")
        major: Major = 6 if fake.machine.version < (7,) else 7
        paste(fake.machine, bootstrap_script(bootstrap, major))
        self._stack.enter_context(fake_routers([fake]))
        with self.sessions.begin() as session:
            row = session.get_one(Router, made.id)
            row.api_port, row.api_ssl_port, row.status = fake.ports["api"], fake.ports["api-ssl"], "online"
        self.fakes[made.id] = fake
        return made.id

    # What is asked for.

    def discover(self, router_id: int) -> None:
        with self.office() as session:
            job_id = deployment_requests.discover(session, router_id).id
        self.work(job_id)

    def configure(self, router_id: int, config: dict[str, Any]) -> int:
        """The version."""
        with self.office() as session:
            return router_service.put(session, routers.by_id(session, router_id), config, None).version

    def request(self, router_id: int, kind: str = "deploy") -> RouterDeployment:
        with self.office() as session:
            return getattr(deployment_requests, kind)(session, router_id)  # type: ignore[no-any-return]

    def deploy(self, router_id: int, config: dict[str, Any] | None = None, kind: str = "deploy") -> RouterDeployment:
        """Asked for and done, in one try. Raises what the job raises."""
        if config is not None:
            self.discover(router_id)
            self.configure(router_id, config)
        asked = self.request(router_id, kind)
        assert asked.job_id is not None
        self.work(asked.job_id)
        return self.deployment(asked.id)

    def work(self, job_id: int, *, last: bool = False) -> None:
        """One try, as a worker makes it; `last`: after which there is none. Raises what the task raises."""
        self.execute(
            "UPDATE job SET due_at = now(), attempts = CASE WHEN :last THEN max_attempts - 1 ELSE attempts END"
            " WHERE id = :id",
            id=job_id,
            last=last,
        )
        with self.sessions.begin() as session:
            name, queue = session.execute(text("SELECT task, queue FROM job WHERE id = :id"), {"id": job_id}).one()
            claim = job_life.claim(session, job_id, queue, lease_s=60)
        assert claim is not None, f"job {job_id} can not be claimed"
        function: Callable[..., None] = task_named(name).function
        with self.sessions() as session:
            try:
                function(session, RunningJob(claim, self.settings, self.sessions), **claim.args)
                assert job_life.succeed(session, claim)
                session.commit()
            except BaseException as error:
                session.rollback()
                with self.sessions.begin() as after:
                    if claim.attempt < claim.max_attempts:
                        job_life.try_again(after, claim, repr(error), 0)
                    else:
                        job_life.fail(after, claim, repr(error))
                raise

    # What there is.

    def deployment(self, deployment_id: int) -> RouterDeployment:
        with self.sessions() as session:
            return session.get_one(RouterDeployment, deployment_id)

    def read(self, router_id: int) -> Router:
        with self.sessions() as session:
            return session.get_one(Router, router_id)

    def steps(self, deployment_id: int) -> list[str]:
        """`state action menu …` of each."""
        with self.sessions() as session:
            return [
                f"{step.state} {step.action} {' '.join((step.menu, *step.found_by.values()))}"
                for step in router_deployment.steps(session, deployment_id)
            ]

    def events(self, router_id: int, type_: str) -> list[dict[str, Any]]:
        with self.sessions() as session:
            found = session.query(event.Event).filter_by(router_id=router_id, type=type_).order_by(event.Event.id)
            return [each.data for each in found]

    def execute(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)


@contextmanager
def make_router_bench(settings: Settings) -> Iterator[RouterBench]:
    """A new tenant in an emptied database."""
    empty(settings)
    platform = make_engine(settings, "platform", pool_size=1)
    with session_factory(platform).begin() as session:
        tenant_id = tenant.create(session, slug="acme", name="Acme", language="en", timezone="Africa/Nairobi").id
    platform.dispose()
    engine = make_engine(settings, "worker", pool_size=10)
    api = make_engine(settings, "api", pool_size=5)
    keyring = Keyring.parse(settings.encryption_keys.reveal())
    bench = RouterBench(engine, session_factory(engine), session_factory(api), keyring, settings, tenant_id)
    try:
        with bench._stack:
            yield bench
    finally:
        engine.dispose()
        api.dispose()
