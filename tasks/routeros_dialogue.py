"""What is said between us and a router, free of sockets: sentences, answers, the login.

A *conversation* is a generator that yields sentences and is sent answers; a trap is thrown into it as Refused. So what
takes several questions is written once and works over both kinds of connection.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import md5
from typing import TypeVar

from settings import Secret
from tasks.routeros_errors import ConnectionLost, Refused
from tasks.routeros_traps import login_refusal, refusal

Row = dict[str, str]
Sentence = tuple[str, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    rows: list[Row]
    """Of the !re sentences, each value as the router wrote it: `true` and `12` are strings."""
    ret: str | None = None
    """What !done brings, such as the .id of an added item."""


Conversation = Generator[Sentence, Answer, T]


def sentence(
    command: str,
    values: Mapping[str, str] | None = None,
    *,
    where: Mapping[str, str] | None = None,
    proplist: Iterable[str] = (),
) -> Sentence:
    """The words of one command; `where` must all be equal. The API needs no quoting."""
    words = [command]
    if properties := ",".join(proplist):
        words.append(f"=.proplist={properties}")
    words += [f"={name}={value}" for name, value in (values or {}).items()]
    words += [f"?{name}={value}" for name, value in (where or {}).items()]
    return tuple(words)


def login(host: str, username: str, password: Secret) -> Conversation[None]:
    """Raises WrongPassword, ConnectionLost."""
    try:
        answer = yield sentence("/login", {"name": username, "password": password.reveal()})
        if answer.ret is not None:
            # Before 6.43 this sentence only asks for a challenge, whatever else it holds.
            response = challenge_response(host, password, answer.ret)
            yield sentence("/login", {"name": username, "response": response})
    except Refused as refused:
        raise login_refusal(host, username, refused) from None


def challenge_response(host: str, password: Secret, challenge: str) -> str:
    try:
        digest = md5(b"\0" + password.reveal().encode() + bytes.fromhex(challenge), usedforsecurity=False)
    except ValueError:
        raise ConnectionLost(f"{host} asks for a login that is not RouterOS's. Check address and port.") from None
    return "00" + digest.hexdigest()


class Fatal(Exception):
    """The router ends the connection, in these words."""


@dataclass(slots=True)
class Listening:
    """Takes the sentences of one answer."""

    host: str
    asked: Sequence[str]
    rows: list[Row] = field(default_factory=list)
    traps: list[str] = field(default_factory=list)

    @staticmethod
    def check(reply_word: str) -> None:
        """To be called before more is read: what is no RouterOS may wait for us to speak. Raises ValueError."""
        if not reply_word.startswith("!"):
            raise ValueError("no reply word")

    def take(self, reply: Sequence[str]) -> Answer | None:
        """The answer, once it is whole.

        Raises Refused if it has traps, Fatal if it is the last one, ValueError if it is none of RouterOS's.
        """
        if reply[0] == "!fatal":
            raise Fatal(" ".join(reply[1:]))
        row = dict(_attribute(word) for word in reply[1:] if not word.startswith("."))
        match reply[0]:
            case "!re":
                self.rows.append(row)
            case "!trap":
                self.traps.append(row.get("message", "no reason given"))
            case "!done":
                if self.traps:
                    raise refusal(self.host, self.asked, self.traps)
                return Answer(self.rows, row.get("ret"))
            case "!empty":  # from 7.18, before !done
                pass
            case _:
                raise ValueError("an unknown reply word")
        return None


def _attribute(word: str) -> tuple[str, str]:
    _, name, value = word.split("=", 2)
    return name, value


# librouteros decodes with one encoding and drops what does not fit. Latin-1 fits all bytes, so words pass through it
# unharmed and are read here.
WIRE = "latin-1"


def to_wire(words: Iterable[str]) -> tuple[str, ...]:
    """Raises ValueError for what cannot be sent. An empty word would end the sentence, and begin another."""
    if not all(words := tuple(words)):
        raise ValueError("a sentence for a router has an empty word")
    return tuple(word.encode().decode(WIRE) for word in words)


def from_wire(word: str) -> str:
    """UTF-8, as RouterOS writes; else what WinBox on a Windows of western languages wrote."""
    octets = word.encode(WIRE)
    try:
        return octets.decode()
    except UnicodeDecodeError:
        try:
            return octets.decode("cp1252")
        except UnicodeDecodeError:
            return word
