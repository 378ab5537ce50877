"""The kinds of work, as packets for every slot."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from bench import attributes, packets
from bench.packets import IDENTIFIERS, Packets
from bench.population import FIRST_NEW_SESSION, OPEN_AT_STEP, PASSWORD, Session, Subscriber
from cli.nas import mschapv2_response

# Four sockets' worth: more than are ever outstanding, so that a slot rests before it is used again.
SLOTS = 4 * IDENTIFIERS

# Of a session in the mix: one login, one Start, ten Interim-Updates, one Stop.
MIX_INTERIMS = 10
_CYCLE = 3 + MIX_INTERIMS


@dataclass(frozen=True)
class Size:
    """How many subscribers there are, and how many of them, the first, have an open session."""

    subscribers: int = 100_000
    open_sessions: int = 20_000


@dataclass
class Builder:
    """Makes the packets. `began_at`, in seconds since the epoch, is when the open sessions last reported."""

    size: Size
    began_at: int = 0
    _made_logins: dict[str, Packets] = field(default_factory=dict)
    _responses: dict[int, bytes] = field(default_factory=dict)
    _heads: dict[int, bytes] = field(default_factory=dict)
    _login_parts: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)

    def build(self, work: str, at_most: int, began_at: int) -> Packets:
        """At least so many packets. Logins, in which there is no time, are made once and used by every run."""
        self.began_at = began_at
        made = self._made_logins.get(work)
        if made is None or len(made) < at_most:
            made = _WORKS[work](self, at_most)
            if work in ("pap", "mschapv2"):
                self._made_logins[work] = made
        return made

    def pap(self, at_most: int) -> Packets:
        """Logins of hotspot subscribers, all in turn."""
        return self._logins(at_most, self._subscribers_of("hotspot"))

    def mschapv2(self, at_most: int) -> Packets:
        """Logins of PPPoE subscribers, all in turn."""
        return self._logins(at_most, self._subscribers_of("pppoe"))

    def start(self, at_most: int) -> Packets:
        """New sessions, of subscribers who have none as long as there are such."""
        made = Packets(SLOTS)
        idle = range(self.size.open_sessions, self.size.subscribers)
        for number in range(at_most):
            session = Session(FIRST_NEW_SESSION + number, Subscriber(idle[number % len(idle)]))
            self._add_start(made, number % SLOTS, session)
        return made

    def interim(self, at_most: int) -> Packets:
        """Reports of the open sessions, all in turn."""
        made = Packets(SLOTS)
        sessions = self.size.open_sessions
        for number in range(at_most):
            turn, member = divmod(number, sessions)
            session = Session(member, Subscriber(member))
            self._add_report(made, member % SLOTS, packets.INTERIM_UPDATE, session, OPEN_AT_STEP + 1 + turn)
        return made

    def stop(self, at_most: int) -> Packets:
        """The ends of as many open sessions: the run needs that many before it."""
        made = Packets(SLOTS)
        for number in range(at_most):
            session = Session(number, Subscriber(number % self.size.subscribers))
            self._add_report(made, number % SLOTS, packets.STOP, session, OPEN_AT_STEP + 1)
        return made

    def mix(self, at_most: int) -> Packets:
        """Each open session at another point of its life; when it ends, its subscriber logs in again."""
        made = Packets(SLOTS)
        members = self.size.open_sessions
        numbers = count(FIRST_NEW_SESSION)
        current = [Session(member, Subscriber(member)) for member in range(members)]
        steps = [OPEN_AT_STEP] * members
        for number in range(at_most):
            turn, member = divmod(number, members)
            slot, stage = member % SLOTS, (turn + member) % _CYCLE
            if stage == 0:
                # An even number: hotspot, by PAP. The others by MS-CHAPv2.
                self._add_login(made, slot, current[member].subscriber)
            elif stage == 1:
                current[member] = Session(next(numbers), current[member].subscriber)
                steps[member] = 0
                self._add_start(made, slot, current[member])
            else:
                steps[member] += 1
                kind = packets.STOP if stage == _CYCLE - 1 else packets.INTERIM_UPDATE
                self._add_report(made, slot, kind, current[member], steps[member])
        return made

    def storm(self, subscribers: int) -> Packets:
        """A slot for each subscriber: the login by PPPoE and, once that is answered, the Start."""
        made = Packets(subscribers)
        chosen = self._subscribers_of("pppoe")
        for slot in range(subscribers):
            subscriber = Subscriber(chosen[slot % len(chosen)])
            self._add_login(made, slot, subscriber)
            self._add_start(made, slot, Session(FIRST_NEW_SESSION + slot, subscriber))
        return made

    def _subscribers_of(self, service: str) -> range:
        return range(1 if service == "pppoe" else 0, self.size.subscribers, 2)

    def _logins(self, at_most: int, chosen: range) -> Packets:
        made = Packets(SLOTS)
        for number in range(at_most):
            self._add_login(made, number % SLOTS, Subscriber(chosen[number % len(chosen)]))
        return made

    def _add_login(self, made: Packets, slot: int, subscriber: Subscriber) -> None:
        authenticator = packets.new_authenticator()
        if subscriber.service == "hotspot":
            password = packets.pap_password(PASSWORD.encode(), authenticator)
        else:
            password = self._mschapv2(subscriber)
        if subscriber.number not in self._login_parts:
            parts = attributes.login_head(subscriber, subscriber.number), attributes.login_tail(subscriber)
            self._login_parts[subscriber.number] = parts
        head, tail = self._login_parts[subscriber.number]
        made.add_login(slot, packets.access_request(slot % IDENTIFIERS, head, password, tail, authenticator))

    def _mschapv2(self, subscriber: Subscriber) -> bytes:
        """The same challenge and response each time: the server sees no difference, and encoding is quick."""
        if subscriber.number not in self._responses:
            response = mschapv2_response(subscriber.user_name, PASSWORD)
            self._responses[subscriber.number] = packets.mschapv2_password(*response)
        return self._responses[subscriber.number]

    def _add_start(self, made: Packets, slot: int, session: Session) -> None:
        packet = packets.start(slot % IDENTIFIERS, self._head(session), self.began_at)
        made.add_record(slot, packet, session, (0, 0))

    def _add_report(self, made: Packets, slot: int, status_type: int, session: Session, step: int) -> None:
        """Reports follow each other by a second of the session's time."""
        octets = session.octets(step)
        event_at = self.began_at + step - (OPEN_AT_STEP if session.is_open_before else 0)
        packet = packets.report(
            slot % IDENTIFIERS, status_type, self._head(session), event_at, session.session_time_s(step), octets
        )
        made.add_record(slot, packet, session, octets)

    def _head(self, session: Session) -> bytes:
        head = self._heads.get(session.number)
        if head is None:
            head = self._heads[session.number] = attributes.accounting_head(session)
        return head


_WORKS: dict[str, Callable[[Builder, int], Packets]] = {
    "pap": Builder.pap,
    "mschapv2": Builder.mschapv2,
    "start": Builder.start,
    "interim": Builder.interim,
    "stop": Builder.stop,
    "mix": Builder.mix,
    "storm": Builder.storm,
}
WORKS = tuple(name for name in _WORKS if name != "storm")
