"""One connection to a fake router's API: the login of its version, then sentence after sentence."""

import asyncio
import secrets
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import md5

from tests.fakes.routeros_commands import Result
from tests.fakes.routeros_faults import Fault, Faults
from tests.fakes.routeros_machine import Machine
from tests.fakes.routeros_protocol import attributes, encode_sentence, read_sentence
from tests.fakes.routeros_values import Trap


@dataclass(frozen=True, slots=True)
class Heard:
    """A sentence that a router received."""

    words: tuple[str, ...]
    username: str | None
    encrypted: bool


class Hangup(Exception):
    """The connection ends."""


class Session:
    def __init__(
        self,
        machine: Machine,
        faults: Faults,
        heard: list[Heard],
        reboot: Callable[[float], None],
        latency_s: float,
        peer: str,
        encrypted: bool,
    ) -> None:
        self._machine = machine
        self._faults = faults
        self._heard = heard
        self._reboot = reboot
        self._latency_s = latency_s
        self._peer = peer
        self._encrypted = encrypted
        self._username: str | None = None
        self._policies: frozenset[str] = frozenset()
        self._challenge = b""

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while True:
                words = await read_sentence(reader)
                if words:
                    self._heard.append(Heard(tuple(words), self._username, self._encrypted))
                    await self._answer(words, writer)
        except (Hangup, IncompleteReadError, ConnectionError, ValueError):
            pass

    async def _answer(self, words: list[str], writer: StreamWriter) -> None:
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        fault = self._faults.next(words[0])
        if fault is not None:
            await self._before(fault)
        replies = self._replies(words)
        tag = [word for word in words if word.startswith(".tag=")]
        octets = b"".join(encode_sentence([*reply, *tag]) for reply in replies)
        if fault is not None:
            octets = await self._after(fault, octets, writer, tag)
        writer.write(octets)
        await writer.drain()
        if replies[-1][0] == "!fatal":
            raise Hangup

    async def _before(self, fault: Fault) -> None:
        match fault.how:
            case "hang":
                await asyncio.Event().wait()
            case "drop":
                raise Hangup
            case "reboot":
                self._reboot(fault.seconds)
                raise Hangup

    async def _after(self, fault: Fault, octets: bytes, writer: StreamWriter, tag: list[str]) -> bytes:
        """What to send at last."""
        match fault.how:
            case "drop_after":
                raise Hangup
            case "cut":
                writer.write(octets[: len(octets) // 2])
                await writer.drain()
                raise Hangup
            case "late":
                await asyncio.sleep(fault.seconds)
            case "drip":
                for octet in octets:
                    writer.write(bytes((octet,)))
                    await asyncio.sleep(fault.seconds)
                return b""
            case "trap":
                return encode_sentence(["!trap", f"=message={fault.words}", *tag]) + encode_sentence(["!done", *tag])
            case "fatal":
                writer.write(encode_sentence(["!fatal", fault.words]))
                await writer.drain()
                raise Hangup
            case "garbage":
                return (
                    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\n<html><body>"
                )
        return octets

    def _replies(self, words: Sequence[str]) -> list[list[str]]:
        try:
            match words[0]:
                case "/login":
                    return [self._login(attributes(words[1:]))]
                case "/quit":
                    return [["!fatal", "session terminated on request"]]
                case _ if self._username is None:
                    return [["!fatal", "not logged in"]]
                case "/system/reboot":
                    self._demand("reboot")
                    self._reboot(0.2)
                    return [["!done"]]
                case "/cancel":
                    return [["!done"]]
            return self._written(words[0], self._machine.menus.execute(words, self._policies))
        except Trap as trap:
            category = [] if trap.category is None else [f"=category={trap.category}"]
            return [*(["!trap", *category, f"=message={message}"] for message in trap.messages), ["!done"]]

    def _written(self, command: str, result: Result) -> list[list[str]]:
        rows = [["!re", *(f"={name}={value}" for name, value in row.items())] for row in result.rows]
        done = ["!done"] if result.ret is None else ["!done", f"=ret={result.ret}"]
        if not rows and result.ret is None and command.endswith("/print") and self._machine.version >= (7, 18):
            rows = [["!empty"]]
        return [*rows, done]

    def _login(self, given: dict[str, str]) -> list[str]:
        if "response" not in given and self._machine.version < (6, 43):
            self._challenge = secrets.token_bytes(16)
            return ["!done", f"=ret={self._challenge.hex()}"]
        name = given.get("name", "")
        account = self._machine.login(name, self._peer)
        if account is None or not self._proves(given, account[0]):
            refused = "cannot log in" if self._machine.version < (6, 43) else "invalid user name or password (6)"
            raise Trap(refused)
        self._username, self._policies = name, account[1]
        return ["!done"]

    def _proves(self, given: dict[str, str], password: str) -> bool:
        if self._machine.version >= (6, 43):
            return given.get("password") == password
        challenge, self._challenge = self._challenge, b""
        digest = md5(b"\0" + password.encode("utf-8", "surrogateescape") + challenge, usedforsecurity=False)
        return bool(challenge) and given.get("response") == "00" + digest.hexdigest()

    def _demand(self, policy: str) -> None:
        if policy not in self._policies:
            raise Trap("not enough permissions (9)", category=4)
