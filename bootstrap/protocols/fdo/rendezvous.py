"""RendezvousInfo: where device and owner look for each other, as directives of instructions.

``[[[var, bstr .cbor value], ...], ...]``: directives are tried in order, the instructions of one belong together.
Each side passes over what is marked for the other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from bootstrap.errors import LocalError, MalformedMessage
from bootstrap.wire import cbor

from . import grammar
from .advice import LintFinding
from .constants import (
    DELAY_DEFAULT_SECONDS,
    DIRECTIVES_MAX,
    DNS_MAX_LENGTH,
    INSTRUCTIONS_MAX,
    RVProtocol,
    RVVariable,
)
from .messages.to0 import ip_text

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?\Z")
_SCHEMES: dict[int, tuple[str, ...]] = {
    RVProtocol.REST: ("https", "http"),
    RVProtocol.HTTP: ("http",),
    RVProtocol.HTTPS: ("https",),
    RVProtocol.TCP: ("tcp",),
    RVProtocol.TLS: ("tls",),
    RVProtocol.COAP_TCP: ("coap+tcp",),
    RVProtocol.COAP_UDP: ("coap",),
}
_SCHEMES_UNSAID = ("https",)
"""The default is TLS; what speaks over it is HTTP, if anything."""
_PROTOCOLS = {"http": RVProtocol.HTTP, "https": RVProtocol.HTTPS, "coap": RVProtocol.COAP_UDP}
_PORTS = {"http": 80, "https": 443, "coap": 5683, "coap+tcp": 5683}
_DELAY_MAX_SECONDS = 0xFFFFFFFF
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


class RvInfoMalformed(MalformedMessage):
    """RendezvousInfo that does not follow its grammar; ``code`` is the voucher catalogue's."""

    code = "VCH-122"


@dataclass(frozen=True, slots=True)
class Instruction:
    """``[RVVariable, bstr .cbor value]``, or ``[RVVariable]`` for one that is only a mark."""

    variable: int
    value: bytes = b""
    """Encoded item; empty for none."""

    @classmethod
    def decode(cls, octets: bytes) -> Instruction:
        """Raises MalformedMessage. Of a mark both forms are read: one item, or two with something like null."""
        variable, *rest = grammar.items(octets, "RendezvousInstr", 1, 2)
        value = rest[0] if rest else None
        return cls(
            grammar.uint(variable, "RVVariable", grammar.UINT8),
            b"" if value is None else grammar.bstr(value, "RVValue"),
        )

    def item(self) -> list[Any]:
        return [int(self.variable), self.value] if self.value else [int(self.variable)]

    def read(self) -> Any:
        """The value decoded and of the right type, or None. Raises MalformedMessage when it is neither."""
        reader = _READERS.get(self.variable)
        return None if reader is None else reader(cbor.decode(self.value))


def _port(value: Any) -> int:
    return grammar.integer(value, "port", 1, grammar.UINT16)


def _host(value: Any) -> str:
    host = grammar.tstr(value, "RVDns", DNS_MAX_LENGTH)
    if not _HOST.match(host):
        raise MalformedMessage("RVDns is no host name")
    return host


def _address(value: Any) -> bytes:
    octets = grammar.bstr(value, "RVIPAddress", most=16)
    if len(octets) not in (4, 16):
        raise MalformedMessage(f"an IP address of {len(octets)} octets")
    return octets


_READERS: dict[int, Any] = {
    RVVariable.IP_ADDRESS: _address,
    RVVariable.DEV_PORT: _port,
    RVVariable.OWNER_PORT: _port,
    RVVariable.DNS: _host,
    RVVariable.WIFI_SSID: lambda value: grammar.tstr(value, "RVWifiSsid", 256),
    RVVariable.WIFI_PW: lambda value: grammar.tstr(value, "RVWifiPw", 256),
    RVVariable.MEDIUM: lambda value: grammar.uint(value, "RVMedium", grammar.UINT8),
    RVVariable.PROTOCOL: lambda value: grammar.member(value, "RVProtocolValue", RVProtocol),
    RVVariable.DELAYSEC: lambda value: grammar.uint(value, "RVDelaysec", _DELAY_MAX_SECONDS),
}


@dataclass(frozen=True, slots=True)
class Directive:
    """The instructions that belong together."""

    instructions: tuple[Instruction, ...]

    @classmethod
    def decode(cls, octets: bytes) -> Directive:
        """Raises MalformedMessage."""
        return cls(
            tuple(
                Instruction.decode(part)
                for part in grammar.pieces(octets, "RendezvousDirective", 0, INSTRUCTIONS_MAX)
            )
        )

    def has(self, variable: RVVariable) -> bool:
        return any(instruction.variable == variable for instruction in self.instructions)

    def read(self, variable: RVVariable) -> Any:
        """The value of the first instruction of this variable that can be read, else None."""
        for instruction in self.instructions:
            if instruction.variable == variable:
                try:
                    return instruction.read()
                except MalformedMessage:
                    continue
        return None

    @property
    def bypass(self) -> bool:
        """The address is the owner's own: the device goes there without asking a rendezvous server."""
        return self.has(RVVariable.BYPASS)

    @property
    def for_devices(self) -> bool:
        return not self.has(RVVariable.OWNER_ONLY)

    @property
    def for_owners(self) -> bool:
        return not self.has(RVVariable.DEV_ONLY)

    def schemes(self) -> tuple[str, ...]:
        protocol = self.read(RVVariable.PROTOCOL)
        return _SCHEMES_UNSAID if protocol is None else _SCHEMES[protocol]

    def hosts(self) -> tuple[str, ...]:
        """For URLs; the name is tried before the address."""
        name, address = self.read(RVVariable.DNS), self.read(RVVariable.IP_ADDRESS)
        found = [name] if name else []
        return (*found, ip_text(address)) if address else tuple(found)

    def urls(self, port: RVVariable) -> tuple[str, ...]:
        """Base URLs in the order to try; none when host or port are unknown."""
        said = self.read(port)
        return tuple(
            f"{scheme}://{host}:{said or _PORTS[scheme]}"
            for host in self.hosts()
            for scheme in self.schemes()
            if said or scheme in _PORTS
        )


@dataclass(frozen=True, slots=True)
class Target:
    """One directive as one side reads it."""

    url_candidates: tuple[str, ...]
    """Base URLs in the order to try. The scheme may be one that the reader does not speak."""
    delay_seconds: int
    """To wait after it failed, give or take 25 percent."""
    bypass: bool
    directive: int = 0
    """Its place in RendezvousInfo, from 0."""


@dataclass(frozen=True, slots=True)
class RvInfo:
    """The whole, with the octets it came in: they are hashed and signed elsewhere."""

    directives: tuple[Directive, ...]
    raw: bytes = field(default=b"", compare=False, repr=False)

    @classmethod
    def decode(cls, octets: bytes) -> RvInfo:
        """Raises RvInfoMalformed. Values are looked at one by one when they are used."""
        try:
            parts = grammar.pieces(octets, "RendezvousInfo", 0, DIRECTIVES_MAX)
            return cls(tuple(Directive.decode(part) for part in parts), octets)
        except MalformedMessage as error:
            raise RvInfoMalformed(str(error)) from None

    def encode(self) -> bytes:
        """As received, or in deterministic encoding."""
        return self.raw or cbor.encode(
            [[one.item() for one in directive.instructions] for directive in self.directives]
        )

    def device_targets(self) -> tuple[Target, ...]:
        """Where a device goes, in order; with ``bypass`` it is the owner, else the rendezvous server."""
        return tuple(self._targets(RVVariable.DEV_PORT))

    def owner_targets(self) -> tuple[Target, ...]:
        """Where an owner registers (TO0). A directive with ``bypass`` asks nothing of the owner."""
        return tuple(self._targets(RVVariable.OWNER_PORT))

    def _targets(self, port: RVVariable) -> Iterator[Target]:
        device = port is RVVariable.DEV_PORT
        for number, directive in enumerate(self.directives):
            if not (directive.for_devices if device else directive.for_owners):
                continue
            last = number == len(self.directives) - 1
            delay = directive.read(RVVariable.DELAYSEC)
            if delay is None:
                delay = DELAY_DEFAULT_SECONDS if last else 0
            yield Target(directive.urls(port), delay, directive.bypass, number)


def rvinfo_for(*urls: str, bypass: bool = False, delay_seconds: int | None = None) -> RvInfo:
    """One directive for each base URL, written so that every known device reads it: the protocol and both
    ports are said, IPv4 addresses have 4 octets. Raises LocalError for a URL that is none."""
    directives = tuple(Directive(tuple(_instructions(url, bypass, delay_seconds))) for url in urls)
    made = RvInfo(directives)
    return RvInfo(directives, made.encode())


def _instructions(url: str, bypass: bool, delay_seconds: int | None) -> Iterator[Instruction]:
    parts = urlsplit(url)
    try:
        protocol, host, port = _PROTOCOLS[parts.scheme], parts.hostname or "", parts.port
    except (KeyError, ValueError):
        raise LocalError(f"not the URL of a rendezvous server: {url!r}") from None
    port = port or _PORTS[parts.scheme]
    yield _host_instruction(host, url)
    yield Instruction(RVVariable.DEV_PORT, cbor.encode(port))
    yield Instruction(RVVariable.OWNER_PORT, cbor.encode(port))
    yield Instruction(RVVariable.PROTOCOL, cbor.encode(int(protocol)))
    if delay_seconds is not None:
        yield Instruction(RVVariable.DELAYSEC, cbor.encode(delay_seconds))
    if bypass:
        yield Instruction(RVVariable.BYPASS)


def _host_instruction(host: str, url: str) -> Instruction:
    try:
        return Instruction(RVVariable.IP_ADDRESS, cbor.encode(ip_address(host).packed))
    except ValueError:
        pass
    if not _HOST.match(host) or len(host) > DNS_MAX_LENGTH:
        raise LocalError(f"not the URL of a rendezvous server: {url!r}")
    return Instruction(RVVariable.DNS, cbor.encode(host))


def words(rvinfo: RvInfo) -> list[str]:
    """One sentence for each directive. Texts in it are the manufacturer's; a Wi-Fi password is not shown."""
    return [_sentence(directive) for directive in rvinfo.directives]


def _sentence(directive: Directive) -> str:
    who = "Devices and owners"
    if not directive.for_owners:
        who = "Only devices" if directive.for_devices else "Nobody"
    elif not directive.for_devices:
        who = "Only owners"
    device, owner = directive.urls(RVVariable.DEV_PORT), directive.urls(RVVariable.OWNER_PORT)
    if directive.bypass:
        said = f"Devices go straight to the owner at {_or(device)}"
    elif device == owner or not (directive.for_devices and directive.for_owners):
        said = f"{who} use {_or(device if directive.for_devices else owner)}"
    else:
        said = f"Devices use {_or(device)}, owners use {_or(owner)}"
    return ". ".join([said, *_remarks(directive)]) + "."


def _or(urls: tuple[str, ...]) -> str:
    return " or ".join(urls) if urls else "an address that is not given"


def _remarks(directive: Directive) -> Iterator[str]:
    ssid, medium = directive.read(RVVariable.WIFI_SSID), directive.read(RVVariable.MEDIUM)
    if ssid:
        yield f"They join the Wi-Fi network {ssid!r} first"
    if medium is not None:
        yield f"They use {_medium(medium)}"
    delay = directive.read(RVVariable.DELAYSEC)
    if delay is not None:
        yield f"After a failure they wait {delay} s"
    if directive.has(RVVariable.USER_INPUT):
        yield "The device may ask a person for the address"
    if directive.has(RVVariable.EXT_RV):
        yield "An external mechanism finds the server"
    if directive.has(RVVariable.SV_CERT_HASH) or directive.has(RVVariable.CL_CERT_HASH):
        yield "The server's certificate is pinned"


def _medium(medium: int) -> str:
    """RVMedium: 0-9 Ethernet, 10-19 Wi-Fi, 20 and 21 all of them."""
    if medium < 10:
        return f"Ethernet interface {medium}"
    if medium < 20:
        return f"Wi-Fi interface {medium - 10}"
    return {20: "every Ethernet interface", 21: "every Wi-Fi interface"}.get(medium, f"medium {medium}")


def lint(rvinfo: RvInfo) -> list[LintFinding]:
    """What the specification allows and some implementation will trip over."""
    found = [LintFinding.of(code) for code in _whole(rvinfo)]
    for number, directive in enumerate(rvinfo.directives, 1):
        found += [LintFinding.of(code, f"directive {number}") for code in _of_directive(directive)]
    return found


def _whole(rvinfo: RvInfo) -> Iterator[str]:
    if not rvinfo.directives:
        yield "RVI-101"
        return
    devices = [directive for directive in rvinfo.directives if directive.for_devices]
    if not devices:
        yield "RVI-110"
    elif all(directive.bypass for directive in devices):
        yield "RVI-109"
    elif not any(one.for_owners and not one.bypass for one in rvinfo.directives):
        yield "RVI-111"


def _of_directive(directive: Directive) -> Iterator[str]:
    protocol = directive.read(RVVariable.PROTOCOL)
    if not directive.has(RVVariable.PROTOCOL):
        yield "RVI-102"
    elif protocol not in (RVProtocol.HTTP, RVProtocol.HTTPS, None):
        yield "RVI-103"
    if directive.for_devices and not directive.has(RVVariable.DEV_PORT):
        yield "RVI-104"
    if directive.for_owners and not directive.bypass and not directive.has(RVVariable.OWNER_PORT):
        yield "RVI-105"
    yield from _of_address(directive)
    yield from _of_instructions(directive)


def _of_address(directive: Directive) -> Iterator[str]:
    if not directive.hosts() and not directive.has(RVVariable.EXT_RV):
        yield "RVI-106"
    address = directive.read(RVVariable.IP_ADDRESS)
    if address and len(address) == 16:
        yield "RVI-108" if IPv6Address(address).ipv4_mapped else "RVI-107"
    if _LOCAL_HOSTS & set(directive.hosts()):
        yield "RVI-116"


def _of_instructions(directive: Directive) -> Iterator[str]:
    if any(count > 1 for count in Counter(one.variable for one in directive.instructions).values()):
        yield "RVI-112"
    if any(not _readable(one) for one in directive.instructions):
        yield "RVI-113"
    if any(one.variable > RVVariable.EXT_RV for one in directive.instructions):
        yield "RVI-114"
    if directive.has(RVVariable.WIFI_PW):
        yield "RVI-115"


def _readable(instruction: Instruction) -> bool:
    try:
        instruction.read()
    except MalformedMessage:
        return False
    return True
