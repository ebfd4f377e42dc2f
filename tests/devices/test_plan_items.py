"""What an editor lets in, a device must be able to get: services/plans.py against the wire format."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bootstrap.bindings.directory import PlanEntry
from bootstrap.bindings.provisioning import document
from bootstrap.contract import Env
from bootstrap.protocols.provisioning import Facts, Material, PlanDocument, ProvisioningState, device, step
from devices.services.plans import FDO_KINDS, FIELDS, FILE_MAX_LENGTH, ITEMS_MAX, TEXT_MAX_LENGTH, items_clean

KEY = bytes(range(64))
GOOD: dict[str, dict[str, str]] = {
    "network": {"ssid": "Home", "security": "wpa2-psk", "passphrase": "correct horse"},
    "server": {"name": "mqtt", "url": "mqtts://broker.example.com"},
    "config": {"key": "interval", "value": "60"},
    "file": {"path": "/etc/motd", "content": base64.b64encode(b"hello").decode(), "mode": "0644"},
    "certificate": {"profile": "device"},
    "command": {"command": "/usr/bin/logger", "args": "-t 'first boot'", "output": "yes", "may_fail": "yes"},
    "collect": {"name": "/var/log/boot.log", "may_fail": "yes"},
    "fetch": {
        "name": "/opt/app.tar",
        "url": "https://files.example.com/${serial}",
        "sha384": "ab" * 48,
        "may_fail": "yes",
    },
}


def delivered(items: list[dict[str, Any]]) -> PlanDocument:
    """The items all the way: stored as JSON, built, sealed by the server, opened by a device."""
    env = Env(now=None, random=bytes)  # type: ignore[arg-type]
    stored = json.loads(json.dumps(items))
    plan = document(PlanEntry(abs(hash(json.dumps(items))) % 2**40, tuple(stored)))
    state, body = device.fetch(device.DeviceState("p", KEY), env)
    outcome = step(ProvisioningState(), body, Facts("p", Material(KEY), plan, 60), env)
    _state, answer = device.read_answer(state, outcome.reply.body)
    assert isinstance(answer, PlanDocument)
    return answer


def refused(items: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        items_clean(items)
    return " ".join(caught.value.messages)


@pytest.mark.parametrize("kind", FIELDS)
def test_each_kind_arrives_as_it_was_written(kind: str) -> None:
    cleaned = items_clean([{"kind": kind, "value": GOOD[kind]}])
    assert cleaned == [{"id": f"{kind}-1", "kind": kind, "value": GOOD[kind]}]
    if kind in FDO_KINDS:
        assert delivered(cleaned).items == ()  # carried by FDO's service info alone
        return
    (item,) = delivered(cleaned).items
    assert (item.id, item.kind) == (f"{kind}-1", kind)
    if kind == "file":
        assert (item.value.content, item.value.mode) == (b"hello", 0o644)  # type: ignore[union-attr]


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind in FIELDS for field in FIELDS[kind]])
def test_a_field_that_must_be_there_is_missed_and_another_is_not(kind: str, field: str) -> None:
    without = {name: text for name, text in GOOD[kind].items() if name != field}
    if FIELDS[kind][field]:
        assert field in refused([{"kind": kind, "value": without}])
        assert field in refused([{"kind": kind, "value": without | {field: ""}}])
    else:
        assert delivered(items_clean([{"kind": kind, "value": without}]))


@pytest.mark.parametrize(
    "items",
    [
        None,
        {},
        "x",
        [None],
        ["network"],
        [{}],
        [{"kind": "nonsense", "value": {}}],
        [{"kind": ["network"], "value": {}}],
        [{"kind": "network"}],
        [{"kind": "network", "value": []}],
        [{"kind": "certificate", "value": {"profile": 7}}],
        [{"kind": "certificate", "value": {"wanted": True}}],
        [{"kind": "certificate", "value": {}, "id": {"a": 1}}],
        [{"kind": "certificate", "value": {}, "id": 7}],
        [{"kind": "certificate", "value": {}, "id": "x" * 65}],
        [{"kind": "certificate", "value": {}, "id": "\ud800"}],
        [{"kind": "certificate", "value": {}, "id": "a"}, {"kind": "certificate", "value": {}, "id": "a"}],
        [{"kind": "certificate", "value": {}}] * (ITEMS_MAX + 1),
        [{"kind": "config", "value": {"key": "\ud800", "value": "x"}}],
        [{"kind": "config", "value": {"key": "a", "value": "x" * (TEXT_MAX_LENGTH + 1)}}],
        [{"kind": "network", "value": GOOD["network"] | {"security": "wep"}}],
        [{"kind": "server", "value": {"name": "a", "url": "broker.example.com"}}],
        [{"kind": "command", "value": GOOD["command"] | {"args": "'open"}}],
        [{"kind": "command", "value": GOOD["command"] | {"may_fail": "no"}}],
        [{"kind": "fetch", "value": GOOD["fetch"] | {"url": "ftp://files.example.com/a"}}],
        [{"kind": "fetch", "value": GOOD["fetch"] | {"sha384": "ab"}}],
        *(
            [{"kind": "file", "value": GOOD["file"] | change}]
            for change in (
                {"mode": "999"},
                {"mode": "7777"},
                {"mode": "-1"},
                {"mode": "rw"},
                {"mode": "0o644"},
                {"mode": "٧"},
                {"content": "not base64!"},
                {"content": "aGVsbG8"},
                {"content": "ä"},
                {"content": base64.b64encode(bytes(FILE_MAX_LENGTH + 1)).decode()},
                {"path": "etc/motd"},
                {"path": "/etc/../shadow"},
                {"path": "/etc/\0motd"},
            )
        ),
    ],
)
def test_what_no_device_could_take_is_refused(items: Any) -> None:
    assert refused(items)


def test_the_largest_file_arrives() -> None:
    content = base64.b64encode(bytes(FILE_MAX_LENGTH)).decode()
    items = items_clean([{"kind": "file", "value": {"path": "/f", "content": content}}])
    (item,) = delivered(items).items
    assert len(item.value.content) == FILE_MAX_LENGTH  # type: ignore[union-attr]


def test_a_plan_of_any_script_that_is_accepted_fits_one_reply() -> None:
    """Four octets a character: what counts is octets, not characters."""
    item = {"kind": "config", "value": {"key": "k", "value": "\U0001f4a1" * TEXT_MAX_LENGTH}}
    accepted = 0
    for count in range(1, ITEMS_MAX + 1):
        try:
            items = items_clean([item] * count)
        except ValidationError:
            break
        accepted = count
        if count % 10 == 0 or count > 40:
            assert len(delivered(items).items) == count
    assert 40 <= accepted < ITEMS_MAX


anything = st.text(max_size=40) | st.sampled_from(
    [
        "",
        "wpa2-psk",
        "open",
        "/a",
        "/a/../b",
        "0644",
        "777",
        "8",
        "x://y",
        "aGk=",
        "aGk",
        "\ud800",
        "\0",
        "a" * 4097,
    ]
)
kinds = st.sampled_from([*FIELDS, "other"])


@st.composite
def items(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(kinds)
    fields = FIELDS.get(kind, {"x": True})
    value = {field: draw(anything) for field in fields if draw(st.integers(0, 9))}
    if draw(st.integers(0, 3)):
        value = {
            field: text
            for field, text in (GOOD.get(kind, {}) | value).items()
            if draw(st.booleans()) or field in GOOD.get(kind, {})
        }
        value = GOOD.get(kind, {}) | {f: t for f, t in value.items() if draw(st.booleans())}
    found: dict[str, Any] = {"kind": kind, "value": value}
    if draw(st.booleans()):
        found["id"] = draw(anything | st.integers() | st.none())
    return found


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(items(), max_size=4))
@example([{"kind": "file", "value": GOOD["file"] | {"mode": "8"}}])
@example([{"kind": "config", "value": {"key": "a", "value": "\udfff"}}])
def test_whatever_is_accepted_reaches_the_device_unchanged(wanted: list[dict[str, Any]]) -> None:
    try:
        cleaned = items_clean(wanted)
    except ValidationError:
        return
    arrived = delivered(cleaned)
    cleaned = [item for item in cleaned if item["kind"] not in FDO_KINDS]
    assert [(item.id, item.kind) for item in arrived.items] == [(i["id"], i["kind"]) for i in cleaned]
    for item, given_item in zip(arrived.items, cleaned, strict=True):
        for field, text in given_item["value"].items():
            if field not in ("content", "mode"):
                assert getattr(item.value, field) == text
