"""What FreeRADIUS calls. The only file that imports `radiusd`, which exists inside the server alone.

Return codes, as freeradius/raddb/sites read them: ok and reject; notfound: there is no answer to give now; invalid: the
packet can not be understood or stored (an accounting packet is kept on disk for the operator).
"""

import gc
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from threading import Lock

import radiusd

from isp.reasons import Reason
from radius_module.combining import Overloaded
from radius_module.decision import Decision
from radius_module.processor import Processor
from radius_module.request import MalformedRequest, Pairs, access_request, accounting_request, packet_of
from radius_module.service import Service, Unanswerable, Unstorable
from radius_module.spool import SpoolFull
from settings import Settings

Lists = dict[str, Pairs | None]
Reply = tuple[tuple[str, ...], ...]

# A packet leaves no cycles behind; the collector, which walks through all that is under way each time, took a sixth of
# the processor.
GC_THRESHOLDS = (50_000, 50, 1_000)

# Decisions between authorize and post-auth, by number. A request that never gets to post-auth is overwritten in time.
_DECISIONS_KEPT = 1 << 16
_decisions: list[tuple[int, Decision] | None] = [None] * _DECISIONS_KEPT
_numbers = count()

# No module of FreeRADIUS's is to look at the password any more.
_ACCEPT = (("Auth-Type", ":=", "Accept"),)

_instances = 0
_lock = Lock()
_service: Service
_processor = Processor()


def log(line: str) -> None:
    radiusd.radlog(radiusd.L_INFO, f"kibali: {line}")


def instantiate(_config: object) -> int:
    """Once per instance; all of them share one interpreter and this one service."""
    global _instances, _service
    with _lock:
        if _instances == 0:
            _processor.gather()
            try:
                _service = Service(Settings.load(), log)
            except Exception as error:  # noqa: BLE001 (whatever it is, the server must say it and not start)
                radiusd.radlog(radiusd.L_ERR, f"kibali: {error}")
                return -1
            _service.start()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
        _instances += 1
    return 0


def detach(_config: object) -> int:
    global _instances
    with _lock:
        _instances -= 1
        if _instances == 0:
            _service.close()
    return 0


def client(request: Pairs) -> int | tuple[int, Reply, Reply]:
    """Who sends from this address? FreeRADIUS drops what comes from nobody."""
    known = _service.routers.client(dict(request).get("Kibali-Source", ""))
    if known is None:
        return int(radiusd.RLM_MODULE_NOTFOUND)
    return (
        radiusd.RLM_MODULE_OK,
        (),
        (
            ("FreeRADIUS-Client-IP-Address", known.address),
            ("FreeRADIUS-Client-Secret", known.secret),
            ("FreeRADIUS-Client-Shortname", str(known.router_id)),
            ("FreeRADIUS-Client-NAS-Type", "other"),
            ("FreeRADIUS-Client-Require-MA", known.require_message_authenticator),
        ),
    )


def authorize(lists: Lists) -> int | tuple[int, Reply, Reply]:
    _processor.free_main_thread()
    try:
        decision = _service.login(access_request(lists["request"] or ()))
    except (Unanswerable, Overloaded):
        return int(radiusd.RLM_MODULE_NOTFOUND)
    except MalformedRequest:
        return int(radiusd.RLM_MODULE_INVALID)
    if decision.is_settled:
        return radiusd.RLM_MODULE_OK, decision.reply, _ACCEPT
    number = next(_numbers)
    _decisions[number % _DECISIONS_KEPT] = (number, decision)
    kept = ("Kibali-Decision", str(number))
    refusal = decision.refusal
    if refusal is not None:
        message = ("Reply-Message", decision.sentence(refusal))
        return radiusd.RLM_MODULE_REJECT, (message,), (kept, ("Kibali-Reason", refusal.value))
    assert decision.password is not None
    control = [
        kept,
        ("Kibali-Reason", decision.reason.value),
        ("Cleartext-Password", decision.password),
        ("Kibali-Password-Reject", decision.sentence(Reason.WRONG_PASSWORD)),
    ]
    if not decision.is_accept:
        control.append(("Kibali-Reject", decision.sentence(decision.reason)))
    return radiusd.RLM_MODULE_OK, decision.reply, tuple(control)


def post_auth(lists: Lists) -> int | tuple[int, Reply, Reply]:
    """What `authorize` left open was judged: an accept takes its place among the devices, and all is written down."""
    now = datetime.now(UTC)
    control = dict(lists["config"] or ())
    number = int(control.get("Kibali-Decision", "-1"))
    reason = control.get("Kibali-Reason", Reason.MALFORMED.value)
    kept = _decisions[number % _DECISIONS_KEPT]
    if kept is not None and kept[0] == number:
        decision = kept[1]
        if reason == decision.reason.value and not _service.admit(decision, now):
            late = Reason.TOO_MANY_DEVICES
            # The reject section calls again, and then it is written down.
            message = ("Reply-Message", decision.sentence(late))
            return radiusd.RLM_MODULE_REJECT, (message,), (("Kibali-Reason", ":=", late.value),)
        _decisions[number % _DECISIONS_KEPT] = None
        _service.answered(decision.request, decision, reason, now)
    else:
        with suppress(MalformedRequest):
            _service.answered(access_request(lists["request"] or ()), None, reason, now)
    return int(radiusd.RLM_MODULE_OK)


def accounting(lists: Lists) -> int:
    """Ok means committed, or safe on the disk."""
    _processor.free_main_thread()
    try:
        record = accounting_request(lists["request"] or (), datetime.now(UTC))
        if record is not None:
            _service.account(record)
    except (SpoolFull, Overloaded):
        return int(radiusd.RLM_MODULE_NOTFOUND)
    except (MalformedRequest, Unstorable) as error:
        log(f"({packet_of(lists['request'] or ())}) an accounting packet was set aside: {error}")
        return int(radiusd.RLM_MODULE_INVALID)
    return int(radiusd.RLM_MODULE_OK)
