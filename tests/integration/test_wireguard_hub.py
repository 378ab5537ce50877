"""A tunnel that really comes up: the hub as Kibali writes it, the router's end as its script says, two namespaces.

Where the kernel has no WireGuard, wireguard-go does it. Needs root, iproute2 and wireguard-tools.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from isp import wireguard_keys
from isp.router_script import bootstrap_script
from isp.tunnel_hub import Far, wireguard
from tests.fakes.routeros_machine import Machine
from tests.fakes.routeros_script import paste
from tests.unit.test_router_script import BOOTSTRAP
from tests.unit.test_router_tunnel import HUB, THE_HUB, TUNNEL

PROGRAMS = ("ip", "wg", "wg-quick")
missing = [program for program in PROGRAMS if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or bool(missing), reason=f"needs root and {', '.join(PROGRAMS)}")


def run(*words: str, check: bool = True) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
    assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout + done.stderr


@contextmanager
def namespace(name: str) -> Iterator[str]:
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        run("ip", "netns", "delete", name, check=False)


@contextmanager
def interface(where: str, name: str) -> Iterator[None]:
    """By the kernel, or by wireguard-go."""
    if "Error" not in run("ip", "-n", where, "link", "add", name, "type", "wireguard", check=False):
        yield
        return
    if shutil.which("wireguard-go") is None:
        pytest.skip("the kernel has no WireGuard, and there is no wireguard-go")
    process = subprocess.Popen(
        ["ip", "netns", "exec", where, "wireguard-go", "--foreground", name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 10
        while not Path(f"/var/run/wireguard/{name}.sock").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None, "wireguard-go ended"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def configure(where: str, name: str, conf: str, address: str, peer: str, directory: Path) -> None:
    path = directory / f"{name}.conf"
    path.write_text(conf)
    path.chmod(0o600)
    stripped = directory / f"{name}.stripped"
    stripped.write_text(run("wg-quick", "strip", str(path)))
    run("ip", "netns", "exec", where, "wg", "setconf", name, str(stripped))
    run("ip", "-n", where, "address", "add", address, "dev", name)
    run("ip", "-n", where, "link", "set", name, "up")
    run("ip", "-n", where, "route", "replace", peer, "dev", name)


def router_conf(machine: Machine) -> str:
    """What the pasted script set, for a WireGuard that is not RouterOS's."""
    own = machine.tables.one("/interface/wireguard", name="kibali-hub")
    (peer,) = machine.tables.items("/interface/wireguard/peers")
    return (
        f"[Interface]\nPrivateKey = {own['private-key']}\n[Peer]\nPublicKey = {peer['public-key']}\n"
        f"Endpoint = {peer['endpoint-address']}:{peer['endpoint-port']}\nAllowedIPs = {peer['allowed-address']}\n"
        f"PersistentKeepalive = {peer['persistent-keepalive'].removesuffix('s')}\n"
    )


@contextmanager
def answering(where: str, address: str) -> Iterator[None]:
    """A port that tells who calls where he calls from."""
    code = (
        f"import socket; s = socket.create_server(('{address}', 8729)); print('ready', flush=True);"
        " c, peer = s.accept(); c.sendall(peer[0].encode())"
    )
    process = subprocess.Popen(
        ["ip", "netns", "exec", where, sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


def test_a_router_that_dials_out_can_be_reached_at_its_tunnel_address(tmp_path: Path) -> None:
    hub_key, router_key = wireguard_keys.generate(), wireguard_keys.generate()
    hub = replace(THE_HUB, wireguard_private_key=hub_key.private)
    tunnel = replace(TUNNEL, endpoint="203.0.113.1", secret=router_key.private, hub_public_key=hub_key.public)
    machine = Machine("7.16")
    paste(machine, bootstrap_script(replace(BOOTSTRAP, tunnel=tunnel, server_addresses=(HUB,)), 7))
    far = Far("wireguard", "acme: roof", tunnel.address, public_key=router_key.public)
    mine = f"kbt{os.getpid()}"
    with ExitStack() as stack:
        here, there = (stack.enter_context(namespace(f"{mine}{end}")) for end in "hr")
        run("ip", "-n", here, "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", there)
        for where, address in ((here, "203.0.113.1/24"), (there, "203.0.113.2/24")):
            run("ip", "-n", where, "address", "add", address, "dev", "up0")
            run("ip", "-n", where, "link", "set", "up0", "up")
        stack.enter_context(interface(here, f"{mine}h"))
        stack.enter_context(interface(there, f"{mine}r"))
        configure(here, f"{mine}h", wireguard(hub, [far]), f"{HUB}/32", f"{tunnel.address}/32", tmp_path)
        configure(there, f"{mine}r", router_conf(machine), f"{tunnel.address}/32", f"{HUB}/32", tmp_path)
        stack.enter_context(answering(there, str(tunnel.address)))
        code = f"import socket; print(socket.create_connection(('{tunnel.address}', 8729), 10).recv(99).decode())"
        assert run("ip", "netns", "exec", here, sys.executable, "-c", code).strip() == str(HUB)
        assert "latest handshake" in run("ip", "netns", "exec", here, "wg", "show", f"{mine}h")
