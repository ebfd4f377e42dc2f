"""A small real server for simulated FDO devices: the pure steps of all three roles behind uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import uvicorn

from bootstrap.contract import Env
from bootstrap.errors import NotAuthenticated, PeerError, UnknownDevice
from bootstrap.protocols.fdo.constants import KeyEncoding, MessageType, ResourceNotFound
from bootstrap.protocols.fdo.messages import (
    AppStart,
    ErrorMessage,
    HelloDevice,
    HelloRv,
    OwnerSign,
    ProveToRv,
    RvTo2Addr,
    SetHmac,
    To0Hello,
)
from bootstrap.protocols.fdo.owner_client import Accepted, To0Client
from bootstrap.protocols.fdo.rendezvous import RvInfo, rvinfo_for
from bootstrap.protocols.fdo.server import (
    OwnerFacts,
    OwnerMaterial,
    OwnerMessage,
    OwnerState,
    di,
    rendezvous,
    step,
)
from bootstrap.protocols.fdo.service_info import Action, CsrAuthority
from bootstrap.protocols.fdo.voucher import Voucher
from bootstrap.wire.frozen import freeze, thaw
from bootstrap.wire.keys import KeyKind
from tests.protocols.fdo.fdo_hand import ca, key, public

RV_FACTS = rendezvous.RvFacts(lambda _voucher: True)


def env() -> Env:
    return Env(datetime.now(UTC), os.urandom)


@dataclass
class Session:
    """The owner's row of one GUID."""

    voucher: bytes
    state: bytes = field(default_factory=lambda: freeze(OwnerState()))


@dataclass
class Talk:
    """What a bearer token stands for."""

    pending: Any = None
    guid: str = ""
    last: tuple[int, bytes] = (0, b"")
    reply: tuple[int, bytes] = (0, b"")


@dataclass
class FdoServer:
    """Manufacturer, rendezvous and owner in one process; what they remember is in dictionaries."""

    url: str = ""
    kind: KeyKind = KeyKind.P256
    encoding: KeyEncoding = KeyEncoding.X509
    pss: bool = False
    rvinfo: RvInfo | None = None
    """None: this server, over TO1."""
    owner_urls: tuple[str, ...] = ()
    """None are registered but our own."""
    actions: tuple[Action, ...] = ()
    csr: CsrAuthority | None = None
    reuse: bool = False
    max_service_info: int = 1300
    unregistered: int = 0
    """So many times TO1 answers that nobody registered."""
    refuse_next: list[int] = field(default_factory=list)
    """HTTP statuses of the next answers, whatever the question."""
    sessions: dict[str, Session] = field(default_factory=dict)
    registrations: dict[str, rendezvous.RvState] = field(default_factory=dict)
    talks: dict[str, Talk] = field(default_factory=dict)
    messages: list[int] = field(default_factory=list)
    """Numbers, in the order they came; a repetition counts again."""
    errors: list[ErrorMessage] = field(default_factory=list)
    """What devices complained of."""
    hellos: list[HelloDevice] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    """Served to GET, by path; fdo.wget takes them."""
    tampers: dict[int, Any] = field(default_factory=dict)
    """By message number: what to make of the reply's body on its way."""

    @property
    def onboarded(self) -> list[OwnerState]:
        """States of the sessions in which a TO2 came to its end."""
        states = [thaw(OwnerState, session.state) for session in self.sessions.values()]
        return [state for state in states if state.runs]

    def voucher(self, guid: str) -> Voucher:
        return Voucher.decode(self.sessions[guid].voucher)

    def answer(self, number: int, token: str, body: bytes) -> tuple[int, str, bytes]:
        """Message number, token and body of the answer."""
        self.messages.append(number)
        if number == MessageType.ERROR:
            self.errors.append(ErrorMessage.decode(body))
            return 0, "", b""
        try:
            if not token:
                token = secrets.token_urlsafe(9)
                self.talks[token] = Talk()
            talk = self.talks.get(token)
            if talk is None:
                raise NotAuthenticated("no such token")
            if talk.last != (number, body):
                talk.reply = (number + 1, self._reply(number, talk, body))
                talk.last = (number, body)
        except PeerError as error:
            return MessageType.ERROR, token, ErrorMessage.of(error, number).encode()
        return talk.reply[0], token, self.tampers.get(number, bytes)(talk.reply[1])

    def _reply(self, number: int, talk: Talk, body: bytes) -> bytes:
        match number:
            case MessageType.DI_APP_START:
                reply, talk.pending = di.open_(AppStart.decode(body), self._di_facts(), env())
                return reply
            case MessageType.DI_SET_HMAC:
                done = di.finish(talk.pending, SetHmac.decode(body), self._di_facts(), env())
                self.take(done.state.voucher)
                return done.reply.body
            case MessageType.TO1_HELLO_RV:
                hello = HelloRv.decode(body)
                talk.guid = hello.guid.hex()
                return self._hello_rv(hello, talk)
            case MessageType.TO1_PROVE_TO_RV:
                state = self.registrations[talk.guid]
                proof = ProveToRv.decode(body)
                return rendezvous.to1_prove(state, talk.pending, proof, RV_FACTS, env()).reply.body
            case MessageType.TO2_HELLO_DEVICE:
                self.hellos.append(HelloDevice.decode(body))
                talk.guid = self.hellos[-1].guid.hex()
        return self._owner(number, talk.guid, body)

    def _hello_rv(self, hello: HelloRv, talk: Talk) -> bytes:
        if self.unregistered:
            self.unregistered -= 1
            raise ResourceNotFound("nobody registered yet")
        reply, talk.pending = rendezvous.to1_hello(self.registrations.get(talk.guid), hello, RV_FACTS, env())
        return reply

    def _owner(self, number: int, guid: str, body: bytes) -> bytes:
        session = self.sessions.get(guid)
        if session is None:
            raise UnknownDevice("no such GUID")
        facts = OwnerFacts(
            guid=bytes.fromhex(guid),
            voucher=lambda: Voucher.decode(session.voucher),
            signer={
                key(self.kind, name).public.der: key(self.kind, name) for name in ("owner", "owner2")
            }.get,
            owner2=(key(self.kind, "owner2"), public(self.kind, "owner2", self.encoding, self.pss)),
            reuse=self.reuse,
            actions=lambda _devmod: self.actions,
            csr=self.csr,
            max_service_info=self.max_service_info,
        )
        outcome = step(thaw(OwnerState, session.state), OwnerMessage(number, body), facts, env())
        session.state = freeze(outcome.state)
        if outcome.next is not None:
            self.take(thaw(OwnerMaterial, outcome.next.material).voucher)
        return outcome.reply.body

    def take(self, octets: bytes) -> None:
        """A voucher is imported and its owner registered, TO0 over the steps of both sides."""
        voucher = Voucher.decode(octets)
        guid = voucher.guid.hex()
        self.sessions.setdefault(guid, Session(octets))
        holder = next(
            key(self.kind, name)
            for name in ("owner", "owner2")
            if key(self.kind, name).public == voucher.owner_key.handle()
        )
        client = To0Client(voucher, holder, [_address(url) for url in (*self.owner_urls, self.url)], 600)
        number, body = client.begin()
        reply, pending = rendezvous.to0_hello(To0Hello.decode(body), RV_FACTS, env())
        said = client.receive(number + 1, reply)
        assert isinstance(said, tuple)
        present = self.registrations.get(guid)
        done = rendezvous.to0_owner_sign(present, pending, OwnerSign.decode(said[1]), RV_FACTS, env())
        assert client.receive(said[0] + 1, done.reply.body) == Accepted(600)
        self.registrations[guid] = done.state

    def _di_facts(self) -> di.DiFacts:
        signer, root = ca(KeyKind.P256)
        return di.DiFacts(
            signer=key(self.kind, "manufacturer"),
            manufacturer_key=public(self.kind, "manufacturer", self.encoding, self.pss),
            device_ca=signer,
            device_ca_chain=(root,),
            rvinfo=(self.rvinfo or rvinfo_for(self.url)).encode(),
            extend_to=(public(self.kind, "owner", self.encoding, self.pss),),
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        status, headers, content = self._http(scope, body)
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": content})

    def _http(self, scope: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        path: str = scope["path"]
        if scope["method"] == "GET":
            self.fetched.append(path)
            return (200, {}, self.files[path]) if path in self.files else (404, {}, b"")
        if self.refuse_next:
            return self.refuse_next.pop(0), {"retry-after": "0"}, b""
        sent = {name.decode(): value.decode() for name, value in scope["headers"]}
        assert sent["content-type"] == "application/cbor"
        prefix, _slash, number = path.rpartition("/")
        assert prefix == "/fdo/101/msg"
        answer, token, content = self.answer(int(number), sent.get("authorization", ""), body)
        headers = {"content-type": "application/cbor", "message-type": str(answer), "authorization": token}
        return (500 if answer == MessageType.ERROR else 200), headers, content


def _address(url: str) -> RvTo2Addr:
    """Of ``http://127.0.0.1:PORT`` or ``coap://NAME:PORT``."""
    scheme, rest = url.split("://")
    host, port = rest.split(":")
    transport = {"http": 3, "coap": 4}[scheme]
    if host[0].isdigit():
        return RvTo2Addr(bytes(int(part) for part in host.split(".")), None, int(port), transport)
    return RvTo2Addr(None, host, int(port), transport)


@contextlib.contextmanager
def running() -> Iterator[FdoServer]:
    """A server on a port of its own, in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    app = FdoServer(f"http://127.0.0.1:{listener.getsockname()[1]}")
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        yield app
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
