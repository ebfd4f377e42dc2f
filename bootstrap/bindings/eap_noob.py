"""EAP-NOOB's facts and consequences: policy in, timeline and provisioning key out."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings

from bootstrap.bindings.directory import OrganizationPolicy, Snapshot
from bootstrap.contract import Env, Milestone, NextSession, Outcome, Verdict
from bootstrap.engine.binding import Effects
from bootstrap.engine.store.contract import Record
from bootstrap.protocols import provisioning
from bootstrap.protocols.eap_noob import crypto, messages
from bootstrap.protocols.eap_noob import server as noob
from bootstrap.protocols.eap_noob.constants import (
    EPHEMERAL_LIFETIME_SECONDS,
    NoobError,
    NoobErrorCode,
    ServerState,
)
from bootstrap.wire.frozen import freeze
from devices.models import DeviceState
from devices.services.progress import Progress

PROTOCOL = "eap-noob"
SHARED_REALM = "noob.eap.arpa"
SERVER_INFO_MAX = 500
ATTENDED = timedelta(minutes=15)
"""After power-up somebody is likely to stand there."""
FIRST_HOURS = timedelta(hours=4)
UNREGISTERED_LIFETIME = timedelta(minutes=15)
UNWANTED = frozenset({DeviceState.REVOKED.value, DeviceState.RETIRED.value, DeviceState.SUSPENDED.value})
_EPHEMERAL = (ServerState.UNREGISTERED, ServerState.WAITING_FOR_OOB, ServerState.OOB_RECEIVED)


def serves(nai: str) -> bool:
    """Whether this identity asks for EAP-NOOB: username ``noob`` in any realm (RFC 9140 section 3.3.1), or
    the username-less form of the eap.arpa registry."""
    username, at, realm = nai.rpartition("@")
    return bool(at) and (username == "noob" or (username == "" and realm.lower() == SHARED_REALM))


def peer_id(message: Any) -> str | None:
    """The PeerId by which a Type 1 response finds its association."""
    return message.peer_id if isinstance(message, messages.DiscoveryResponse) else None


def begins(message: Any) -> bool:
    """Type 1 opens a conversation, whatever an abandoned one was waiting for."""
    return isinstance(message, messages.DiscoveryResponse)


def facts(
    snapshot: Snapshot, record: Record, association: noob.ServerAssociation, nai: str, env: Env
) -> noob.Facts:
    """Everything a step may know; no query."""
    policy = snapshot.policy(record.organization_id)
    realm = snapshot.realm(association.nai or nai)
    assigned = f"noob@{policy.assigned_realm}" if policy.assigned_realm else None
    return noob.Facts(
        server_info=server_info(snapshot, record.organization_id),
        new_nai=assigned,
        reconnect_nai=assigned,
        sleep_time_seconds=sleep_seconds(record, policy, env),
        noob_timeout_seconds=policy.noob_timeout_seconds,
        oob_retries=policy.oob_retries,
        convention=crypto.Convention(kdf_datalength=realm.kdf_datalength, mac_nai=realm.mac_nai)
        if realm
        else crypto.Convention(),
        forward_secrecy=policy.forward_secrecy,
        wanted=record.device_state not in UNWANTED,
    )


def sleep_seconds(record: Record, policy: OrganizationPolicy, env: Env) -> int:
    """SleepTime: short while somebody is likely to stand there or is claiming it, then longer."""
    age = env.now - (record.created_at or env.now)
    claimed = record.device_id is not None or (
        record.guarded_until is not None and record.guarded_until > env.now
    )
    if claimed or age < ATTENDED:
        return policy.sleep_attended_seconds
    return policy.sleep_hour_seconds if age < FIRST_HOURS else policy.sleep_idle_seconds


def server_info(snapshot: Snapshot, organization_id: int | None) -> str:
    """ServerInfo (RFC 9140 section 4): who we are, where the code goes, where the plan waits, which networks."""
    plan = snapshot.plan(organization_id, None)
    networks = (
        tuple(item["value"]["ssid"] for item in plan.items if item["kind"] == "network") if plan else ()
    )
    name = snapshot.policy(organization_id).name or "Onward"
    return _server_info(name, networks, settings.SERVER_URL, settings.DEVICES_URL, settings.COAP_URL)


@lru_cache(maxsize=1024)
def _server_info(
    name: str, networks: tuple[str, ...], server_url: str, devices_url: str, coap_url: str
) -> str:
    doors = {
        scheme: f"{url}/provision" for scheme, url in (("https", devices_url), ("coap", coap_url)) if url
    }
    info: dict[str, Any] = {"Type": "url", "ServerName": name, "ServerURL": server_url, "Onward": doors}
    # What helps most goes last in and first out: 500 octets are all there is.
    ssids: list[str] = []
    for ssid in networks:
        longer = {**info, "SSIDList": [*ssids, ssid]}
        if len(_compact(longer).encode()) > SERVER_INFO_MAX:
            break
        ssids.append(ssid)
        info["SSIDList"] = ssids
    while len(_compact(info).encode()) > SERVER_INFO_MAX and info["ServerName"]:
        info["ServerName"] = info["ServerName"][:-10]
    return _compact(info)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def owned(done: noob.NoobStep, association: noob.ServerAssociation, record: Record) -> noob.NoobStep:
    """A device that nobody claims any more (the offer was withdrawn, or ran out, in this very conversation)
    does not become anybody's: its OOB message is none of ours, and it waits again (section 3.2.4)."""
    if done.milestone is not Milestone.BOOTSTRAPPED or record.device_id is not None:
        return done
    return noob.refuse(association, NoobError(NoobErrorCode.UNKNOWN_NOOB_ID, "nobody claims this device"))


def following(done: noob.NoobStep, previous: bytes) -> tuple[NextSession | None, bytes]:
    """The provisioning session that a success opens or re-keys, and the key to remember."""
    if done.keys is None:
        return None, previous
    current = provisioning.derive(done.keys.amsk)
    material = provisioning.Material(current, previous)
    return NextSession("provisioning", done.keys.peer_id, freeze(material)), current


def effects(
    record: Record,
    outcome: Outcome[Any],
    association: noob.ServerAssociation,
    policy: OrganizationPolicy,
    env: Env,
) -> Effects:
    """What follows from one step."""
    ephemeral = association.state in _EPHEMERAL
    next_at = record.next_at if ephemeral else None
    if ephemeral and outcome.reply.verdict is Verdict.REJECT:
        next_at = env.now + timedelta(seconds=sleep_seconds(record, policy, env))
    expires_at = None
    if ephemeral and record.device_id is None:
        unregistered = association.state == ServerState.UNREGISTERED
        life = UNREGISTERED_LIFETIME if unregistered else timedelta(seconds=EPHEMERAL_LIFETIME_SECONDS)
        expires_at = env.now + life
    return Effects(
        expires_at=expires_at,
        next_at=next_at,
        progress=progress(record, outcome, env),
        wake_onboarding=outcome.milestone in (Milestone.BOOTSTRAPPED, Milestone.STUCK)
        or (outcome.milestone is Milestone.RECONNECTED and record.device_state == DeviceState.STUCK.value),
    )


def progress(record: Record, outcome: Outcome[Any], env: Env) -> Progress | None:
    """What the device's row shows now."""
    if record.device_id is None:
        return None
    local = not outcome.reply.body
    code = outcome.notes[-1].code if outcome.notes else None
    state = reason = None
    if outcome.milestone is Milestone.BOOTSTRAPPED or outcome.milestone is Milestone.CONFIRMED:
        state = DeviceState.ONBOARDING.value
    elif outcome.milestone is Milestone.STUCK:
        state = DeviceState.STUCK.value
        reason = code
    return Progress(record.device_id, env.now, seen=not local, state=state, step=code, reason=reason or "")
