"""The client of Daraja over real sockets: the fake Daraja for what is documented, scripted servers for what is not."""

import base64
import json
import logging
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from isp.daraja import Merchant, StkPush
from isp.daraja_results import NOT_SENT
from isp.payment import Accepted, C2bPayment, Failed, Paid, Pending, PushOutcome, Rejected, Unanswered, Unknown
from settings import Secret
from tasks.daraja import BAD_CREDENTIALS, BAD_FIELD, Credentials, Daraja, DarajaError, Patience
from tasks.daraja_http import make_http
from tasks.daraja_provider import DarajaProvider
from tasks.daraja_token import OwnTokenStore, Token, parse_token
from tasks.payment_provider import PaymentProvider, Prompt, Unreadable, ValidationRefusal, WebhookKind
from tests.fakes.daraja import fake_daraja
from tests.fakes.daraja_behaviour import phone_of
from tests.fakes.daraja_control import CONSUMER_KEY, CONSUMER_SECRET, PASSKEY, PAYBILL, STORE, TILL, DarajaControl
from tests.fakes.daraja_receiver import Receiver, receiving
from tests.ports import free_port

PHONE = "254712345678"
MERCHANT = Merchant("paybill", PAYBILL, PASSKEY)
CREDENTIALS = Credentials(CONSUMER_KEY, Secret(CONSUMER_SECRET))
HASTY = Patience(push_within_s=0.4, query_within_s=0.4, token_within_s=0.4, pauses_s=(0.01, 0.01))


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with make_http(connect_timeout_s=0.4) as client:
        yield client


@pytest.fixture(scope="module")
def running() -> Iterator[DarajaControl]:
    with fake_daraja(duplicate_window_s=0, one_prompt_per_phone=False) as fake:
        fake.behave(decides_after_s=0)
        yield fake


@pytest.fixture(scope="module")
def here() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def fake(running: DarajaControl) -> Iterator[DarajaControl]:
    yield running
    running.wait_until_idle()
    running.rules(token_fault=404, token_life_s=3599)


Make = Callable[..., Daraja]


@pytest.fixture
def make(http: httpx.Client) -> Make:
    def make(url: str, **changes: Any) -> Daraja:
        parts = {"credentials": CREDENTIALS, "merchant": MERCHANT, "tokens": OwnTokenStore(), "patience": HASTY}
        return Daraja(http, url, **{**parts, **changes})

    return make


@pytest.fixture
def daraja(fake: DarajaControl, make: Make) -> Daraja:
    return make(fake.url, patience=replace(HASTY, push_within_s=5, query_within_s=5, token_within_s=5))


def push_of(here: Receiver, **changes: Any) -> StkPush:
    return replace(StkPush(PHONE, Decimal("10"), "K7QWXM2P9A", "Internet", f"{here.url}/stk"), **changes)


SECURE_PUSH = StkPush(PHONE, Decimal("10"), "K7QWXM2P9A", "Internet", "https://isp.example/stk")


class TestAgainstTheFake:
    def test_a_push_is_accepted_and_a_query_says_paid(
        self, daraja: Daraja, fake: DarajaControl, here: Receiver
    ) -> None:
        outcome = daraja.stk_push(push_of(here), now())
        assert isinstance(outcome, Accepted)
        fake.wait_until_idle()
        assert daraja.stk_query(outcome.checkout_request_id, now()) == Paid()
        assert fake.payments()[-1]["checkout_request_id"] == outcome.checkout_request_id

    def test_a_till_is_pushed_through_its_store(self, fake: DarajaControl, here: Receiver, make: Make) -> None:
        till = make(fake.url, merchant=Merchant("till", STORE, PASSKEY, till_number=TILL))
        assert isinstance(till.stk_push(push_of(here), now()), Accepted)

    @pytest.mark.parametrize(("preset", "outcome"), [("cancelled", Failed("1032")), ("query_says_paid", Paid())])
    def test_a_query_says_what_became_of_it(
        self, daraja: Daraja, fake: DarajaControl, here: Receiver, preset: str, outcome: object
    ) -> None:
        pushed = daraja.stk_push(push_of(here, msisdn=phone_of(preset)), now())
        assert isinstance(pushed, Accepted)
        fake.wait_until_idle()
        assert daraja.stk_query(pushed.checkout_request_id, now()) == outcome

    def test_pending_is_an_answer_and_not_asked_again(
        self, daraja: Daraja, fake: DarajaControl, here: Receiver
    ) -> None:
        pushed = daraja.stk_push(push_of(here, msisdn=phone_of("pending_then_paid")), now())
        assert isinstance(pushed, Accepted)
        fake.wait_until_idle()
        outcomes = [daraja.stk_query(pushed.checkout_request_id, now()) for _ in range(3)]
        assert outcomes == [Pending(), Pending(), Paid()]

    @pytest.mark.parametrize(
        ("preset", "code", "permanent"),
        [("busy", "500.003.02", False), ("quota", "500.003.03", False), ("locked", "1001", False)],
    )
    def test_a_refusal_says_its_code(
        self, daraja: Daraja, here: Receiver, preset: str, code: str, permanent: bool
    ) -> None:
        outcome = daraja.stk_push(push_of(here, msisdn=phone_of(preset)), now())
        assert isinstance(outcome, Rejected)
        assert (outcome.code, outcome.permanent) == (code, permanent)

    @pytest.mark.parametrize(
        "preset", ["server_error", "server_error_but_paid", "html", "empty", "silence_but_paid", "hang_up_but_paid"]
    )
    def test_a_push_without_a_clear_answer_is_unanswered_and_was_sent_once(
        self, fake: DarajaControl, here: Receiver, make: Make, preset: str
    ) -> None:
        before = len(fake.state()["prompts"])
        assert isinstance(make(fake.url).stk_push(push_of(here, msisdn=phone_of(preset)), now()), Unanswered)
        assert len(fake.state()["prompts"]) == before + 1

    def test_a_wrong_passkey_is_a_permanent_rejection(self, fake: DarajaControl, here: Receiver, make: Make) -> None:
        outcome = make(fake.url, merchant=replace(MERCHANT, passkey="wrong")).stk_push(push_of(here), now())
        assert outcome == Rejected("500.001.1001", "500.001.1001 Wrong credentials", permanent=True)

    def test_a_clock_that_is_wrong_is_found_out(self, daraja: Daraja, here: Receiver) -> None:
        outcome = daraja.stk_push(push_of(here), now() - timedelta(hours=3))
        assert isinstance(outcome, Rejected)
        assert "Invalid Timestamp" in outcome.message

    def test_a_push_that_breaks_a_rule_is_not_sent(self, fake: DarajaControl, here: Receiver, make: Make) -> None:
        before = fake.state()["tokens_given"]
        outcome = make(fake.url).stk_push(push_of(here, amount_kes=Decimal("10.50")), now())
        assert outcome == Rejected(BAD_FIELD, "Amount must be whole shillings from 1 to 250000.", permanent=True)
        assert fake.state()["tokens_given"] == before

    def test_urls_are_registered_for_payments_by_hand(
        self, daraja: Daraja, fake: DarajaControl, here: Receiver
    ) -> None:
        daraja.register_urls(f"{here.url}/confirmation", f"{here.url}/validation", now())
        assert fake.pay_by_hand(PHONE, 5, "K7QW") is not None
        assert here.wait_for("/confirmation")

    @pytest.mark.parametrize("url", ["https://isp.example/mpesa", "ftp://isp.example/c2b"])
    def test_urls_that_mpesa_refuses_are_said_so(self, daraja: Daraja, url: str) -> None:
        with pytest.raises(DarajaError, match="ConfirmationURL") as raised:
            daraja.register_urls(url, "https://isp.example/v", now())
        assert raised.value.permanent

    def test_credentials_are_checked(self, daraja: Daraja, fake: DarajaControl, make: Make) -> None:
        daraja.check_credentials(now())
        wrong = make(fake.url, credentials=Credentials(CONSUMER_KEY, Secret("wrong-consumer-secret")))
        with pytest.raises(DarajaError, match="consumer secret") as raised:
            wrong.check_credentials(now())
        assert raised.value.permanent


class TestTokens:
    def test_one_is_used_for_many_requests(self, daraja: Daraja, fake: DarajaControl, here: Receiver) -> None:
        before = fake.state()["tokens_given"]
        for _ in range(3):
            assert isinstance(daraja.stk_push(push_of(here), now()), Accepted)
        assert fake.state()["tokens_given"] == before + 1

    @pytest.mark.parametrize("status", [404, 400, 401])
    def test_another_is_asked_for_once_when_it_is_refused(
        self, daraja: Daraja, fake: DarajaControl, here: Receiver, status: int
    ) -> None:
        fake.rules(token_fault=status)
        assert isinstance(daraja.stk_push(push_of(here), now()), Accepted)
        before = fake.state()
        fake.invalidate_tokens()
        assert isinstance(daraja.stk_push(push_of(here), now()), Accepted)
        after = fake.state()
        assert after["tokens_given"] == before["tokens_given"] + 1
        assert len(after["prompts"]) == len(before["prompts"]) + 1

    def test_a_second_refusal_is_the_answer(self, daraja: Daraja, fake: DarajaControl, here: Receiver) -> None:
        fake.rules(token_life_s=0)
        before = fake.state()["tokens_given"]
        outcome = daraja.stk_push(push_of(here), now())
        assert outcome == Rejected("404.001.03", "HTTP 404 404.001.03 Invalid Access Token", permanent=False)
        assert fake.state()["tokens_given"] == before + 2

    def test_workers_that_find_none_ask_for_one_together(self, fake: DarajaControl, here: Receiver, make: Make) -> None:
        shared = OwnTokenStore()
        workers = [make(fake.url, tokens=shared, patience=Patience()) for _ in range(8)]
        before = fake.state()["tokens_given"]
        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(lambda worker: worker.stk_push(push_of(here), now()), workers))
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert fake.state()["tokens_given"] == before + 1

    def test_workers_whose_token_was_ended_ask_for_one_together(
        self, fake: DarajaControl, here: Receiver, make: Make
    ) -> None:
        shared = OwnTokenStore()
        workers = [make(fake.url, tokens=shared, patience=Patience()) for _ in range(8)]
        workers[0].check_credentials(now())
        fake.invalidate_tokens()
        before = fake.state()["tokens_given"]
        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(lambda worker: worker.stk_push(push_of(here), now()), workers))
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert fake.state()["tokens_given"] == before + 1

    def test_one_that_is_about_to_end_is_not_used(self, daraja: Daraja, fake: DarajaControl, here: Receiver) -> None:
        daraja.stk_push(push_of(here), now())
        before = fake.state()["tokens_given"]
        # The fake's clock stands; the push is refused for its Timestamp, after the token.
        daraja.stk_push(push_of(here), now() + timedelta(seconds=3600 - 59))
        assert fake.state()["tokens_given"] == before + 1

    @pytest.mark.parametrize(
        ("expires_in", "life_s"),
        [("3599", 3599), (3599, 3599), (3599.0, 3599), (None, 300), ("soon", 300), (10**15, 300), (10**8, 86_400)],
    )
    def test_its_life_is_a_number_or_a_string(self, expires_in: object, life_s: int) -> None:
        at = now()
        token = parse_token(json.dumps({"access_token": "abc", "expires_in": expires_in}).encode(), at)
        assert token == Token(Secret("abc"), at + timedelta(seconds=life_s))


def answer(status: str, body: bytes = b"", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def token_answer() -> bytes:
    return answer("200 OK", b'{"access_token": "token-of-the-script", "expires_in": "3599"}')


Script = Callable[[socket.socket, bytes], None]


@dataclass
class Scripted:
    """A server that answers requests for a token, and leaves all others to a script."""

    url: str
    script: Script
    token_script: Script | None = None
    tls: ssl.SSLContext | None = None
    requests: list[bytes] = field(default_factory=list)

    @property
    def posts(self) -> int:
        return sum(request.startswith(b"POST") for request in self.requests)

    def serve(self, raw: socket.socket) -> None:
        # OSError: the client has gone, or does not trust us.
        with suppress(OSError), raw, self.tls.wrap_socket(raw, server_side=True) if self.tls else raw as connection:
            request = _read_request(connection)
            self.requests.append(request)
            if request.startswith(b"GET /oauth/") and self.token_script is None:
                connection.sendall(token_answer())
            else:
                script = self.token_script if request.startswith(b"GET") and self.token_script else self.script
                script(connection, request)


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536) or b"\r\n\r\n"
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length and (more := connection.recv(65536)):
        body += more
    return head + b"\r\n\r\n" + body


@contextmanager
def scripted(
    script: Script, token_script: Script | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Scripted]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        scheme = "https" if tls else "http"
        server = Scripted(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", script, token_script, tls)

        def accept() -> None:
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                threading.Thread(target=server.serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def says(*pieces: bytes, every_s: float = 0.0) -> Script:
    def script(connection: socket.socket, _request: bytes) -> None:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(every_s)

    return script


def falls_silent(connection: socket.socket, _request: bytes) -> None:
    connection.recv(1)


def drips(data: bytes) -> Script:
    return says(*(data[at : at + 1] for at in range(len(data))), every_s=0.05)


ACCEPTED = b'{"MerchantRequestID": "1", "CheckoutRequestID": "ws_CO_1", "ResponseCode": "0"}'
PAID = b'{"ResponseCode": "0", "CheckoutRequestID": "ws_CO_1", "ResultCode": "0"}'

STRANGE: dict[str, Script] = {
    "silence": falls_silent,
    "hangs up": says(),
    "hangs up within the head": says(b"HTTP/1.1 200 OK\r\nContent-"),
    "hangs up within the body": says(answer("200 OK", ACCEPTED)[:-5]),
    "is no HTTP": says(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "html": says(answer("200 OK", b"<html><body>Welcome</body></html>")),
    "empty": says(answer("200 OK")),
    "a list": says(answer("200 OK", b"[]")),
    "other JSON": says(answer("200 OK", b'{"ok": true}')),
    "no UTF-8": says(answer("200 OK", b'{"ResponseCode": "\xff"}')),
    "a huge body": says(answer("200 OK", b" " * 1_000_000 + ACCEPTED)),
    "an endless body": says(b"HTTP/1.1 200 OK\r\n\r\n", *([b" " * 65536] * 200)),
    "a huge head": says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n"),
    "a compressed body": says(answer("200 OK", b"\x1f\x8b" + ACCEPTED, "Content-Encoding: gzip\r\n")),
    "drips its head": drips(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100),
    "drips its body": says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *([b" "] * 100), every_s=0.05),
    "a redirect": says(answer("302 Found", b"", "Location: https://captive.example/\r\n")),
    "a lasting redirect": says(answer("308 Permanent Redirect", b"", "Location: /elsewhere\r\n")),
    "a server's fault": says(answer("500 Internal Server Error", b"oops")),
    "a gateway's": says(answer("502 Bad Gateway", b"<html>")),
    "no content": says(b"HTTP/1.1 204 No Content\r\n\r\n"),
}


@pytest.mark.parametrize("script", STRANGE.values(), ids=STRANGE.keys())
class TestStrangeAnswers:
    def test_a_push_is_unanswered_in_time_and_was_sent_once(self, here: Receiver, make: Make, script: Script) -> None:
        with scripted(script) as server:
            began = time.monotonic()
            outcome = make(server.url).stk_push(push_of(here), now())
            assert isinstance(outcome, Unanswered), outcome
            assert time.monotonic() - began < HASTY.push_within_s + 1
            assert server.posts == 1

    def test_a_query_is_unknown_in_time_and_was_sent_a_few_times_at_most(self, make: Make, script: Script) -> None:
        with scripted(script) as server:
            began = time.monotonic()
            outcome = make(server.url).stk_query("ws_CO_1", now())
            assert isinstance(outcome, Unknown), outcome
            assert time.monotonic() - began < 3 * HASTY.query_within_s + 1
            assert 1 <= server.posts <= 3

    def test_a_token_that_does_not_come_sends_no_push(self, here: Receiver, make: Make, script: Script) -> None:
        with scripted(says(answer("200 OK", ACCEPTED)), token_script=script) as server:
            outcome = make(server.url).stk_push(push_of(here), now())
            assert isinstance(outcome, Rejected), outcome
            assert outcome.code == (BAD_CREDENTIALS if outcome.permanent else NOT_SENT)
            assert server.posts == 0

    def test_registering_and_checking_raise_one_error(self, make: Make, script: Script) -> None:
        with scripted(script, token_script=script) as server, pytest.raises(DarajaError):
            make(server.url).check_credentials(now())
        with scripted(script) as server, pytest.raises(DarajaError):
            make(server.url).register_urls("https://isp.example/c", "https://isp.example/v", now())


class TestNotSent:
    def test_a_refused_connection_is_a_rejection_and_may_be_tried_again(self, here: Receiver, make: Make) -> None:
        tokens = OwnTokenStore()
        tokens.put(Token(Secret("good"), now() + timedelta(hours=1)))
        daraja = make(f"http://127.0.0.1:{free_port()}", tokens=tokens)
        outcome = daraja.stk_push(push_of(here), now())
        assert outcome == Rejected(NOT_SENT, "no connection to 127.0.0.1 (ConnectError)", permanent=False)
        assert isinstance(daraja.stk_query("ws_CO_1", now()), Unknown)

    def test_a_connection_that_does_not_come_about_is_one_too(self, here: Receiver, make: Make) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, socket.socket() as waiting:
            waiting.connect(listener.getsockname())  # and nobody else fits in
            outcome = make(f"http://127.0.0.1:{listener.getsockname()[1]}").stk_push(push_of(here), now())
        assert isinstance(outcome, Rejected)
        assert (outcome.code, outcome.permanent) == (NOT_SENT, False)
        assert "ConnectTimeout" in outcome.message

    @pytest.mark.parametrize(
        "url", ["http://", "http://no.such.host.invalid", "http://127.0.0.1:1:1", "http://exa mple", "http://\x00", "x"]
    )
    def test_a_base_url_that_leads_nowhere_is_no_crash(self, here: Receiver, make: Make, url: str) -> None:
        outcome = make(url).stk_push(push_of(here, callback_url="https://isp.example/stk"), now())
        assert isinstance(outcome, Rejected)
        assert outcome.code == NOT_SENT

    def test_a_redirect_instead_of_a_token_tells_the_operator_what_to_check(self, make: Make) -> None:
        redirect = says(answer("301 Moved Permanently", b"", "Location: https://elsewhere.example/\r\n"))
        with scripted(redirect, token_script=redirect) as server:
            with pytest.raises(DarajaError, match="check the base URL") as raised:
                make(server.url).check_credentials(now())
            assert raised.value.permanent
            assert len(server.requests) == 1


class TestRepeating:
    def test_a_query_that_fails_once_is_asked_again(self, make: Make) -> None:
        answers = iter([answer("503 Service Unavailable"), b"", answer("200 OK", PAID)])
        with scripted(lambda connection, _: connection.sendall(next(answers))) as server:
            assert make(server.url).stk_query("ws_CO_1", now()) == Paid()
            assert server.posts == 3

    def test_a_token_that_fails_once_is_asked_for_again(self, here: Receiver, make: Make) -> None:
        answers = iter([answer("503 Service Unavailable"), token_answer()])
        accepts = says(answer("200 OK", ACCEPTED))
        with scripted(accepts, token_script=lambda connection, _: connection.sendall(next(answers))) as server:
            assert make(server.url).stk_push(push_of(here), now()) == Accepted("1", "ws_CO_1")

    def test_a_refusal_with_a_code_is_not_asked_again(self, make: Make) -> None:
        refusal = b'{"errorCode": "500.001.1001", "errorMessage": "Wrong credentials"}'
        with scripted(says(answer("500 Internal Server Error", refusal))) as server:
            assert isinstance(make(server.url).stk_query("ws_CO_1", now()), Unknown)
            assert server.posts == 1

    def test_each_request_has_a_connection_of_its_own(self, here: Receiver, make: Make) -> None:
        # One kept alive could end under the push, and nobody would know whether it was read.
        more: list[bytes] = []

        def stays(connection: socket.socket, _request: bytes) -> None:
            connection.sendall(answer("200 OK", ACCEPTED))
            more.append(connection.recv(1))

        with scripted(stays) as server:
            daraja = make(server.url)
            for number in range(1, 4):
                assert isinstance(daraja.stk_push(push_of(here), now()), Accepted)
                assert server.posts == number
            until = time.monotonic() + 5
            while len(more) < 3 and time.monotonic() < until:  # the server learns of the last end a moment later
                time.sleep(0.01)
            assert more == [b""] * 3


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 and its key, signed by nobody else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


class TestTls:
    @pytest.fixture
    def of_the_server(self, certificate: Path) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        return context

    @pytest.fixture
    def daraja_at(self, certificate: Path) -> Iterator[Callable[[str], Daraja]]:
        with make_http(connect_timeout_s=1, tls=ssl.create_default_context(cafile=str(certificate))) as http:
            yield lambda url: Daraja(http, url, CREDENTIALS, MERCHANT, OwnTokenStore(), HASTY)

    def test_a_server_that_nobody_vouches_for_gets_nothing(self, make: Make, of_the_server: ssl.SSLContext) -> None:
        with scripted(says(answer("200 OK", ACCEPTED)), tls=of_the_server) as server:
            outcome = make(server.url).stk_push(SECURE_PUSH, now())
            assert isinstance(outcome, Rejected)
            assert (outcome.code, server.requests) == (NOT_SENT, [])

    def test_a_push_is_accepted(self, daraja_at: Callable[[str], Daraja], of_the_server: ssl.SSLContext) -> None:
        with scripted(says(answer("200 OK", ACCEPTED)), tls=of_the_server) as server:
            assert daraja_at(server.url).stk_push(SECURE_PUSH, now()) == Accepted("1", "ws_CO_1")

    @pytest.mark.parametrize("kind", ["silence", "hangs up", "drips its head", "drips its body"])
    def test_the_time_is_limited_here_too(
        self, daraja_at: Callable[[str], Daraja], of_the_server: ssl.SSLContext, kind: str
    ) -> None:
        with scripted(STRANGE[kind], tls=of_the_server) as server:
            began = time.monotonic()
            assert isinstance(daraja_at(server.url).stk_push(SECURE_PUSH, now()), Unanswered)
            assert time.monotonic() - began < HASTY.push_within_s + 1

    def test_a_callback_over_plain_http_is_not_asked_for(
        self, daraja_at: Callable[[str], Daraja], of_the_server: ssl.SSLContext
    ) -> None:
        with scripted(says(answer("200 OK", ACCEPTED)), tls=of_the_server) as server:
            outcome = daraja_at(server.url).stk_push(replace(SECURE_PUSH, callback_url="http://isp.example/"), now())
            assert isinstance(outcome, Rejected)
            assert (outcome.code, server.requests) == (BAD_FIELD, [])


def secrets_sent(request: bytes) -> list[str]:
    """What a request holds that nobody may read in a log."""
    head, _, body = request.partition(b"\r\n\r\n")
    authorization = next(line for line in head.decode().split("\r\n") if line.lower().startswith("authorization:"))
    found = [authorization.split()[-1], CONSUMER_SECRET, PASSKEY]
    return [*found, *filter(None, [json.loads(body).get("Password")])] if body else found


class TestSecrets:
    @pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "404 Not Found", "500 Internal Server Error"])
    def test_none_comes_back_in_an_outcome_an_error_or_a_log(
        self, here: Receiver, make: Make, caplog: pytest.LogCaptureFixture, status: str
    ) -> None:
        def echo(connection: socket.socket, request: bytes) -> None:
            said = " ".join(secrets_sent(request))
            body = {"errorCode": "x", "errorMessage": said, "ResponseCode": "1", "ResponseDescription": said}
            connection.sendall(answer(status, json.dumps(body).encode()))

        told: list[object] = []
        with caplog.at_level(logging.DEBUG), scripted(echo) as server:
            logging.getLogger("httpcore").setLevel(logging.WARNING)  # as logs.configure does
            daraja = make(server.url)
            told += [daraja, daraja.stk_push(push_of(here), now()), daraja.stk_query("ws_CO_1", now())]
            told += [error_text(lambda: daraja.register_urls("https://a.example/", "https://a.example/", now()))]
            sent = {secret for request in server.requests for secret in secrets_sent(request)}
        with caplog.at_level(logging.DEBUG), scripted(echo, token_script=echo) as server:
            told += [error_text(lambda: make(server.url).check_credentials(now()))]
            sent |= {secret for request in server.requests for secret in secrets_sent(request)}
        text = " ".join(map(repr, told)) + caplog.text
        assert len(sent) >= 5
        assert [secret for secret in sent if secret in text] == []

    def test_a_traceback_of_a_broken_connection_shows_none(self, make: Make) -> None:
        with scripted(says(), token_script=says()) as server:
            text = error_text(lambda: make(server.url).check_credentials(now()))
        basic = base64.b64encode(f"{CONSUMER_KEY}:{CONSUMER_SECRET}".encode()).decode()
        assert "DarajaError" in text
        assert basic not in text
        assert CONSUMER_SECRET not in text


def error_text(act: Callable[[], None]) -> str:
    try:
        act()
    except DarajaError as error:
        return "".join(traceback.format_exception(error))
    return ""


class TestTheProvider:
    @pytest.fixture
    def provider(self, daraja: Daraja) -> PaymentProvider:
        return DarajaProvider(daraja, now)

    def test_it_asks_and_queries(self, provider: PaymentProvider, fake: DarajaControl, here: Receiver) -> None:
        prompt = Prompt(PHONE, Decimal("10.00"), "K7QWXM2P9A", "Internet", f"{here.url}/provider")
        outcome: PushOutcome = provider.push(prompt)
        assert isinstance(outcome, Accepted)
        result = provider.parse_callback(here.wait_for("/provider")[0])
        truth = fake.payments()[-1]
        assert (result.checkout_request_id, result.verdict) == (outcome.checkout_request_id, Paid())
        assert (result.receipt, result.amount_kes, result.msisdn_text) == (truth["receipt"], Decimal("10.00"), PHONE)
        assert provider.query(outcome.checkout_request_id) == Paid()

    def test_it_reads_a_confirmation_whose_time_is_unreadable(self, provider: PaymentProvider) -> None:
        told = {"TransID": "RKTQDM7W6S", "TransAmount": "5.00", "BusinessShortCode": PAYBILL, "TransTime": "?"}
        before = now()
        payment = provider.parse_confirmation(json.dumps(told).encode())
        assert before <= payment.paid_at <= now()
        assert payment == C2bPayment("RKTQDM7W6S", Decimal("5.00"), "", "", "", payment.paid_at)

    def test_what_is_unreadable_is_said_so(self, provider: PaymentProvider) -> None:
        for parse in (provider.parse_callback, provider.parse_confirmation):
            with pytest.raises(Unreadable, match="not JSON"):
                parse(b"<html>")

    def test_it_answers_webhooks_as_documented(self, provider: PaymentProvider) -> None:
        assert provider.acknowledgement(WebhookKind.STK) == {"ResultCode": 0, "ResultDesc": "Accepted"}
        assert provider.acknowledgement(WebhookKind.C2B_CONFIRMATION) == {"ResultCode": 0, "ResultDesc": "Success"}
        assert provider.validation_answer(None) == {"ResultCode": "0", "ResultDesc": "Accepted"}
        codes = {refusal: provider.validation_answer(refusal)["ResultCode"] for refusal in ValidationRefusal}
        assert codes == {
            ValidationRefusal.ACCOUNT: "C2B00012",
            ValidationRefusal.AMOUNT: "C2B00013",
            ValidationRefusal.MSISDN: "C2B00011",
            ValidationRefusal.OTHER: "C2B00016",
        }

    def test_it_has_a_sentence_for_every_code_it_gives(self, provider: PaymentProvider) -> None:
        assert "cancelled" in provider.failure_sentence("1032", "en")
        assert "reached" in provider.failure_sentence(NOT_SENT, "en")
        assert "Wasiliana" in provider.failure_sentence(BAD_CREDENTIALS, "sw")
