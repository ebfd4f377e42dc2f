"""A small real server for simulated devices: the pure cores behind uvicorn, and nothing of Django."""

import asyncio
import json
import os
import secrets
import socket
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
import uvicorn

from bootstrap.contract import Env
from bootstrap.errors import PeerError
from bootstrap.protocols import provisioning
from bootstrap.protocols.eap_noob import server, sticker
from bootstrap.protocols.eap_noob.constants import OobOutcome, ServerState
from bootstrap.wire import cose, eap

MEDIA_TYPE = "application/vnd.onward.eap"
TOKEN = "the-person"
PLAN = provisioning.PlanDocument(
    3,
    (
        provisioning.PlanItem.build("net", "network", {"ssid": "Factory", "security": "open"}),
        provisioning.PlanItem.build("mqtt", "server", {"name": "telemetry", "url": "mqtts://broker.example"}),
        provisioning.PlanItem.build("tz", "config", {"key": "timezone", "value": "UTC"}),
        provisioning.PlanItem.build(
            "motd", "file", {"path": "/etc/motd", "content": "aGVsbG8=", "mode": "0644"}
        ),
        provisioning.PlanItem.build("id", "certificate", {"profile": "mtls"}),
    ),
)


def env():
    return Env(datetime.now(UTC), os.urandom)


@dataclass
class Conversation:
    """One EAP run: the server is its authenticator."""

    nai: str
    identifier: int = 1
    peer_id: str = ""
    last: tuple = ()


@dataclass
class Portal:
    """EAP over HTTP, provisioning and claims over the protocol cores; state in dictionaries."""

    plan: provisioning.PlanDocument | None = PLAN
    offer_type: int = eap.EapType.NOOB
    facts: server.Facts = field(default_factory=server.Facts)
    url: str = ""
    associations: dict = field(default_factory=dict)
    serials: dict = field(default_factory=dict)
    plans: dict = field(default_factory=dict)
    conversations: dict = field(default_factory=dict)
    merge_first: bool = False
    claims: list = field(default_factory=list)
    statuses: list = field(default_factory=list)
    refuse_next: list = field(default_factory=list)
    """Statuses to answer the next requests with, whatever they are."""

    def answer(self, path, media_type, token, body):
        """Status, headers and body of one request."""
        if self.refuse_next:
            return self.refuse_next.pop(0), {"Retry-After": "0"}, b""
        if path == "/eap":
            return self.open(body)
        if path.startswith("/eap/"):
            return self.go_on(self.conversations.get(path.removeprefix("/eap/")), body)
        if path.startswith("/provision/"):
            return self.provision(path.removeprefix("/provision/"), media_type, body)
        if path == "/api/v1/claims" and token == f"Bearer {TOKEN}":
            return self.claim(json.loads(body))
        return 404, {}, b""

    def open(self, body):
        identity = eap.EapPacket.decode(body)
        assert identity.type == eap.EapType.IDENTITY
        token = secrets.token_urlsafe(9)
        conversation = self.conversations[token] = Conversation(identity.data.decode())
        request = eap.request(conversation.identifier, self.offer_type, server.start())
        return 201, {"Location": f"/eap/{token}"}, request.encode()

    def go_on(self, conversation, body):
        if conversation is None:
            return 404, {}, b""
        if conversation.last and conversation.last[0] == body:
            return 200, {}, conversation.last[1]
        packet = eap.EapPacket.decode(body)
        if packet.identifier != conversation.identifier:
            return 409, {}, b""
        answer = self.eap_answer(conversation, packet).encode()
        conversation.last = (body, answer)
        return 200, {}, answer

    def eap_answer(self, conversation, packet):
        if packet.type == eap.EapType.NAK:
            assert packet.data == bytes([eap.EapType.NOOB])
            return eap.failure(packet.identifier)
        message = server.decode(packet.data)
        peer_id = conversation.peer_id or getattr(message, "peer_id", None) or ""
        state = self.associations.get(peer_id, server.initial_state())
        found = server.step(state, message, conversation.nai, self.facts, env())
        conversation.peer_id = found.state.peer_id
        self.associations[found.state.peer_id] = found.state
        if "serial" in found.labels:
            self.serials[found.labels["serial"]] = found.state.peer_id
        if found.result is server.Result.CONTINUE:
            conversation.identifier = (conversation.identifier + 1) % 256
            return eap.request(conversation.identifier, eap.EapType.NOOB, found.request)
        if found.result is server.Result.FAILURE:
            return eap.failure(packet.identifier)
        self.rekey(found.keys)
        return eap.success(packet.identifier)

    def rekey(self, keys):
        new = provisioning.derive(keys.amsk)
        material, state = self.plans.get(
            keys.peer_id, (provisioning.Material(new), provisioning.ProvisioningState())
        )
        self.plans[keys.peer_id] = material.rekeyed(new, state.key_id), state

    def provision(self, locator, media_type, body):
        if media_type != cose.MEDIA_TYPE or locator not in self.plans:
            return 401, {}, b""
        material, state = self.plans[locator]
        facts = provisioning.Facts(locator, material, self.plan, 1)
        try:
            outcome = provisioning.step(state, body, facts, env())
        except PeerError as error:
            return provisioning.ERROR_CODES[type(error)], {}, b""
        self.plans[locator] = material, outcome.state
        return 200, {"Content-Type": outcome.reply.media_type}, outcome.reply.body

    def claim(self, request):
        self.claims.append(request)
        if self.merge_first and not request.get("merge"):
            return 409, {}, json.dumps({"code": "CLM-409", "merge_with": 7}).encode()
        if request.get("direction") == "server-to-device":
            peer_id = self.serials[request["serial"]]
            self.associations[peer_id], oob = server.oob_make(self.associations[peer_id], env(), self.facts)
            return 200, {}, json.dumps({"code": sticker.encode(oob, "https://portal.example/n")}).encode()
        oob = sticker.decode(request["code"])
        state = self.associations.get(oob.peer_id, server.initial_state())
        found = server.oob_receive(state, oob, env(), self.facts)
        self.associations[oob.peer_id] = found.state
        if found.outcome not in (OobOutcome.ACCEPTED, OobOutcome.REDUNDANT):
            return 409, {}, json.dumps({"code": "CLM-110"}).encode()
        return 201, {}, b"{}"

    def registered(self):
        return [s for s in self.associations.values() if s.state == ServerState.REGISTERED]

    async def __call__(self, scope, receive, send):
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        media_type, token = headers.get("content-type", ""), headers.get("authorization", "")
        status, extra, answer = self.answer(scope["path"], media_type, token, body)
        self.statuses.append((scope["path"].split("/")[1], status))
        fields = [(name.lower().encode(), value.encode()) for name, value in extra.items()]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": answer})


@pytest.fixture
def portal():
    """A running Portal; SleepTime is zero unless a test says so."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    app = Portal()
    app.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    onward = {"https": f"{app.url}/provision"}
    info = {"ServerName": "box", "ServerURL": "https://portal.example/n", "Onward": onward}
    app.facts = server.Facts(server_info=json.dumps(info, separators=(",", ":")), sleep_time_seconds=0)
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(running.serve(sockets=[listener])))
    thread.start()
    yield app
    running.should_exit = True
    thread.join(10)
    listener.close()
