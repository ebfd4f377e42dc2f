"""Messages and plan items: round trips, and whatever bytes."""

import base64
from dataclasses import replace

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootstrap.errors import PEER_ERRORS, MalformedMessage
from bootstrap.protocols.provisioning import ERROR_CODES, PlanDocument, PlanItem, messages
from bootstrap.protocols.provisioning.constants import MAX_ITEMS, MAX_REQUEST_LENGTH, ItemKind, RefusalCode
from bootstrap.protocols.provisioning.items import Config, File, Network, Unknown
from bootstrap.protocols.provisioning.messages import Ack, CheckIn, Fetch, ItemResult, Refusal, Report

NONCE, CHALLENGE = bytes(range(16)), bytes(range(16, 32))
ITEMS = (
    PlanItem.build("net", "network", {"ssid": "Factory", "security": "wpa3-sae", "passphrase": "hunter22"}),
    PlanItem.build("mqtt", "server", {"name": "telemetry", "url": "mqtts://broker.example:8883"}),
    PlanItem.build("tz", "config", {"key": "timezone", "value": "Europe/Berlin"}),
    PlanItem.build(
        "ca", "file", {"path": "/etc/ca.pem", "content": base64.b64encode(b"PEM").decode(), "mode": "0644"}
    ),
    PlanItem.build("id", "certificate", {"profile": "mtls"}),
)
EVERY_MESSAGE = [
    Fetch(NONCE, 3, ("file", "config")),
    Report(NONCE, CHALLENGE, 3, (ItemResult("net", True), ItemResult("ca", False, "disk full"))),
    CheckIn(NONCE, CHALLENGE, 3, 42, "1.2.3"),
    PlanDocument(7, ITEMS, CHALLENGE),
    Ack(300, CHALLENGE),
    Refusal(RefusalCode.NO_PLAN, CHALLENGE, 30),
]


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=lambda m: type(m).__name__)
def test_each_message_comes_back_as_it_went(message):
    assert messages.decode(message.encode()) == message


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=lambda m: type(m).__name__)
def test_each_label_left_out_or_of_another_type_is_malformed_or_has_a_default(message):
    fields = cbor2.loads(message.encode())
    for label in list(fields):
        without = {k: v for k, v in fields.items() if k != label}
        try:
            messages.decode(cbor2.dumps(without))
        except MalformedMessage:
            pass
        else:
            assert label not in (0, 1, 2, 10), "type, nonce, challenge and code have no default"
        with pytest.raises(MalformedMessage):
            messages.decode(cbor2.dumps(fields | {label: 1.5}))


def test_a_label_from_the_future_is_left_alone():
    fields = cbor2.loads(EVERY_MESSAGE[0].encode())
    assert messages.decode(cbor2.dumps(fields | {77: "new"})) == EVERY_MESSAGE[0]


def test_an_item_of_a_kind_from_the_future_decodes_as_unknown():
    plan = cbor2.loads(PlanDocument(1, ITEMS[:1], CHALLENGE).encode())
    plan[4][0][2] = 99
    item = messages.decode(cbor2.dumps(plan)).items[0]
    assert item.value == Unknown(99)
    assert item.kind is None


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_malformed(octets):
    try:
        message = messages.decode(octets)
    except MalformedMessage:
        return
    assert messages.decode(message.encode()) == message


LEAF = st.none() | st.booleans() | st.integers(-3, 2**64 - 1) | st.binary(max_size=17) | st.text("ab")
INNER = st.dictionaries(st.integers(0, 5), LEAF, max_size=4)
ANY = LEAF | st.lists(INNER | LEAF, max_size=3)
CLOSE = st.fixed_dictionaries(
    {},
    optional={
        1: st.just(NONCE) | ANY,
        2: st.just(CHALLENGE) | ANY,
        3: st.integers(0, 9) | ANY,
        4: st.lists(st.fixed_dictionaries({1: LEAF, 2: st.integers(0, 6), 3: INNER}), max_size=3) | ANY,
        5: st.lists(st.fixed_dictionaries({1: LEAF, 2: st.booleans(), 3: LEAF}), max_size=3) | ANY,
        **{label: ANY for label in range(6, 12)},
    },
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 7), CLOSE)
def test_any_map_decodes_or_is_malformed(message_type, fields):
    try:
        message = messages.decode(cbor2.dumps({0: message_type} | fields))
    except MalformedMessage:
        return
    assert messages.decode(message.encode()) == message


def test_every_kind_can_be_built_from_what_people_edit():
    assert [item.kind for item in ITEMS] == list(ItemKind)
    assert ITEMS[3].value == File("/etc/ca.pem", b"PEM", mode=0o644)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("network", {}),
        ("network", {"ssid": 5, "security": "open"}),
        ("server", {"name": "x", "url": "y", "port": 1}),
        ("file", {"path": "/x", "content": "not base64!"}),
        ("file", {"path": "/x", "content": "", "mode": "rw"}),
        ("file", {"path": "/x", "content": 7}),
        ("config", {"key": "k", "value": "v" * 5000}),
        ("rocket", {}),
    ],
)
def test_what_does_not_fit_its_kind_is_malformed(kind, value):
    with pytest.raises(MalformedMessage):
        PlanItem.build("x", kind, value)


def test_a_file_whose_digest_does_not_fit_is_malformed():
    item = PlanItem("f", replace(File("/x", b"content"), sha256=bytes(32)))
    with pytest.raises(MalformedMessage):
        messages.decode(PlanDocument(1, (item,), CHALLENGE).encode())


def test_a_plan_has_unique_ids_and_a_positive_version():
    for version, items in ((0, ()), (1, (ITEMS[0], ITEMS[0]))):
        with pytest.raises(MalformedMessage):
            PlanDocument(version, items)


def test_the_largest_report_fits_in_a_request():
    results = tuple(
        ItemResult(f"{i:04}" + "\U0001f600" * 60, False, "\U0001f600" * 999) for i in range(MAX_ITEMS)
    )
    report = Report(NONCE, CHALLENGE, 2**53 - 1, results)
    assert len(report.encode()) + 512 < MAX_REQUEST_LENGTH
    assert len(messages.decode(report.encode()).results) == MAX_ITEMS


def test_secrets_of_a_plan_stay_out_of_repr():
    text = repr(PlanDocument(1, ITEMS)) + repr(Config("k", "s3cret")) + repr(Network("n", "open", "s3cret"))
    for secret in ("hunter22", "Berlin", "PEM'", "s3cret"):
        assert secret not in text


def test_every_peer_error_has_a_code():
    assert set(ERROR_CODES) == set(PEER_ERRORS)
