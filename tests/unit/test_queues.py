"""The table of queues is what users and other tools rely on; a task is checked where it is written and enqueued."""

import pytest
from sqlalchemy.orm import Session

from tasks import queues, registry
from tasks.modules import import_tasks
from tasks.periodic import PERIODIC
from tasks.registry import task, task_of
from tasks.running_job import RunningJob
from tasks.webhook_deliveries import TURN_S
from tasks.webhook_http import LONGEST_S


@pytest.fixture(autouse=True)
def _registered_here_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_tasks", dict(registry._tasks))


@pytest.mark.parametrize(
    ("name", "workers", "limit_s", "backoff_s"),
    [
        ("payments", 4, 120, (10, 30, 60)),
        ("provisioning", 3, 60, (5, 15, 30, 60, 120)),
        ("router-data", 3, 30, ()),
        ("router-checks", 2, 60, ()),
        ("default", 2, 60, (10, 60)),
        ("sms", 2, 60, (10, 60)),
        ("webhooks", 2, 60, (10, 60)),
        ("imports", 1, 600, (10, 60)),
        ("maintenance", 1, 600, (60,)),
    ],
)
def test_the_queues_are_as_documented(name: str, workers: int, limit_s: int, backoff_s: tuple[int, ...]) -> None:
    queue = queues.BY_NAME[name]
    assert (queue.workers, queue.limit_s, queue.backoff_s) == (workers, limit_s, backoff_s)
    assert queue.max_attempts == len(backoff_s) + 1


def test_there_are_no_other_queues() -> None:
    assert len(queues.QUEUES) == len(queues.BY_NAME) == 9


def test_an_undeclared_queue_is_an_import_error() -> None:
    with pytest.raises(ImportError):
        from tasks.queues import PAYMENT  # type: ignore[attr-defined]  # noqa: F401


def test_a_second_task_of_the_same_name_is_refused() -> None:
    def only_once(session: Session, job: RunningJob) -> None:
        raise NotImplementedError

    task(queue=queues.DEFAULT)(only_once)
    with pytest.raises(ValueError, match="two tasks named only_once"):
        task(queue=queues.PAYMENTS)(only_once)


def test_a_task_may_have_a_limit_of_its_own() -> None:
    def import_subscribers(session: Session, job: RunningJob) -> None:
        raise NotImplementedError

    task(queue=queues.PROVISIONING, limit_s=600)(import_subscribers)
    assert task_of(import_subscribers).limit_s == 600


def test_a_turn_of_webhooks_ends_before_it_is_ended() -> None:
    assert queues.WEBHOOKS.limit_s / 2 > TURN_S + LONGEST_S


def test_a_function_that_is_no_task_is_refused() -> None:
    with pytest.raises(TypeError, match="decorate it"):
        task_of(test_there_are_no_other_queues)


@pytest.mark.parametrize("args", [{}, {"subscription_id": 1, "router_id": 2}])
def test_arguments_that_do_not_fit_are_refused(args: dict[str, int]) -> None:
    def renew_one(session: Session, job: RunningJob, subscription_id: int) -> None:
        raise NotImplementedError

    found = task(queue=queues.DEFAULT)(renew_one)
    task_of(found).check_args({"subscription_id": 1})
    with pytest.raises(TypeError, match="renew_one"):
        task_of(found).check_args(args)


def test_every_periodic_task_has_a_name_of_its_own_and_is_known_to_the_workers() -> None:
    import_tasks()
    assert len({periodic.name for periodic in PERIODIC}) == len(PERIODIC)
    for periodic in PERIODIC:
        task_of(periodic.function).check_args(periodic.args)
