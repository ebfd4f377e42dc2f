"""Listening sockets: bound once by the supervisor and inherited, so that no connection is refused while a
child restarts and ``port 0`` means one port for as long as ``up`` runs."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable
from typing import TypeVar

from django.core.management.base import CommandError

BACKLOG = 1024
TEST_NET = ("192.0.2.1", 9)
"""Nothing is sent there: connecting a UDP socket only asks the kernel which address would be used."""

Bound = TypeVar("Bound")


def patiently(bind: Callable[[], Bound], seconds: float) -> Bound:
    """``bind()``, again and again for so long: whoever holds the port is about to end."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return bind()
        except CommandError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.2)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _bound(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    listener = socket.socket(_family(host), kind)
    if kind is socket.SOCK_STREAM:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it. asyncio sets it only where it knows the protocol number; without it, a
        # reply in two writes waits 40 ms for the other side's acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise CommandError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener


def tcp(host: str, port: int) -> socket.socket:
    """A listening TCP socket."""
    listener = _bound(host, port, socket.SOCK_STREAM)
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener


def udp(host: str, port: int) -> socket.socket:
    """A bound UDP socket."""
    listener = _bound(host, port, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
    listener.set_inheritable(True)
    return listener


def free_udp_port(host: str, port: int) -> int:
    """``port``, or one that is free now, for a door that opens its own socket."""
    with _bound(host, port, socket.SOCK_DGRAM) as probe:
        return int(probe.getsockname()[1])


def allow_connections() -> None:
    """As many open files as the system lets us have: the usual 1024 end before our own limit of connections."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def inherited(fd: int) -> socket.socket:
    """The socket that the supervisor left us."""
    return socket.socket(fileno=fd)


def shown_host(host: str) -> str:
    """How others reach us: the bound address, or the one this machine uses towards the network."""
    if host not in ("0.0.0.0", "::", ""):  # noqa: S104 (recognized, not bound here)
        return f"[{host}]" if ":" in host else host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(TEST_NET)
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
