"""The router itself: what it is, its files, scripts and certificates."""

from tests.fakes.routeros_menu import COMMENT, EDIT, ITEM, LIST, PLAIN_LIST, V7, Menu
from tests.fakes.routeros_values import (
    all_shown,
    choice,
    contents,
    duration,
    flag,
    number,
    required,
    shown,
    since,
    text,
)

SYSTEM: dict[str, Menu] = {
    "/system/identity": Menu({"name": text("MikroTik")}, EDIT, single=True),
    "/system/resource": Menu(
        all_shown(
            "uptime version build-time factory-software free-memory total-memory cpu cpu-count cpu-frequency "
            "cpu-load free-hdd-space total-hdd-space architecture-name board-name platform"
        ),
        frozenset(),
        single=True,
    ),
    "/system/routerboard": Menu(
        all_shown(
            "routerboard board-name model serial-number firmware-type factory-firmware current-firmware "
            "upgrade-firmware"
        ),
        frozenset(),
        single=True,
    ),
    "/system/license": Menu(
        all_shown("software-id nlevel features system-id level"),
        frozenset(),
        single=True,
    ),
    "/system/package": Menu(
        {
            "name": shown(),
            "version": shown(),
            "build-time": shown(),
            "scheduled": shown(""),
            "disabled": flag(read_only=True),
        },
        frozenset({"enable", "disable"}),
    ),
    "/system/device-mode": Menu(
        {
            "mode": shown(),
            "flagged": flag(None, read_only=True),
            **{
                feature: flag(None, read_only=True)
                for feature in ("hotspot", "proxy", "fetch", "scheduler", "email", "container", "l2tp", "pptp", "socks")
            },
        },
        frozenset(),
        single=True,
        since=V7,
        own_commands=frozenset({"update"}),
    ),
    "/system/script": Menu(
        {
            "comment": COMMENT,
            "name": text(),
            "owner": text(),
            "policy": text(),
            "source": text(""),
            "dont-require-permissions": flag(),
            "run-count": shown("0"),
            "last-started": shown(),
            "invalid": flag(read_only=True),
        },
        PLAIN_LIST,
        unique=("name",),
        duplicate="failure: already have script with such name",
        prefix="script",
    ),
    "/system/scheduler": Menu(
        {
            **ITEM,
            "name": required(text()),
            "start-date": text(),
            "start-time": text("00:00:00"),
            "interval": duration("0s"),
            "on-event": text(""),
            "policy": text(),
            "owner": shown("admin"),
            "run-count": shown("0"),
        },
        LIST,
        unique=("name",),
        duplicate="failure: already have scheduler with such name",
        feature="scheduler",
        feature_refuses=True,
    ),
    "/file": Menu(
        {
            "name": required(text()),
            "type": text(),
            "contents": contents(),
            "size": shown(),
            "last-modified": since(V7, shown()),
        },
        frozenset({"add", "set", "remove"}),
        unique=("name",),
        duplicate="failure: file already exists",
        policy="ftp",
        add_since=V7,
    ),
    "/certificate": Menu(
        {
            "name": text(),
            "common-name": text(),
            "key-size": choice("1024", "1536", "2048", "4096", "8192", "prime256v1", "secp384r1", default="2048"),
            "days-valid": number(0, 4294967295, "365"),
            "key-usage": text(
                "digital-signature,key-encipherment,data-encipherment,key-cert-sign,crl-sign,tls-server,tls-client"
            ),
            "subject-alt-name": text(""),
            "trusted": flag(None),
            "fingerprint": shown(),
            "private-key": flag(None, read_only=True),
            "invalid-before": shown(),
            "invalid-after": shown(),
        },
        frozenset({"add", "set", "remove"}),
        unique=("name",),
        duplicate="failure: certificate with the same name already exists",
        prefix="cert",
        package="security",
        own_commands=frozenset({"sign"}),
    ),
}
