"""Every message round-trips, anything else gets the error code of RFC 9140 section 3.6.1."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.errors import PEER_ERRORS, LocalError
from bootstrap.protocols.eap_noob import NoobError, constants, messages
from bootstrap.protocols.eap_noob.messages.transcript import Element, hash_input, opened, recorded

clean = st.characters(exclude_categories=["Cs"])
peer_ids = st.from_regex(r"[A-Za-z0-9_-]{1,22}", fullmatch=True) | st.just("ä.ö+1")
nais = st.sampled_from(["noob@eap-noob.arpa", "@noob.eap.arpa", "noob@sub.example.org", "nöob@exämple.org"])
infos = st.dictionaries(
    st.text(clean, max_size=6), st.text(clean, max_size=6) | st.integers(0, 9), max_size=3
)
info_texts = st.builds(
    lambda value, ascii_only, spaces: json.dumps(
        value, ensure_ascii=ascii_only, separators=(", ", " : ") if spaces else (",", ":")
    ),
    infos,
    st.booleans(),
    st.booleans(),
)
jwks = st.sampled_from(['{"kty":"OKP","crv":"X25519","x":"AA"}', '{ "kty" : "EC" }'])
lists = st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True).map(tuple)
VALUES = {
    "vers": lists,
    "cryptosuites": lists,
    "verp": st.integers(0, 99),
    "cryptosuitep": st.integers(0, 99),
    "dirs": st.integers(1, 3),
    "dirp": st.integers(1, 3),
    "peer_id": peer_ids,
    "new_nai": st.none() | nais,
    "server_info": info_texts,
    "peer_info": info_texts,
    "pks": jwks,
    "pkp": jwks,
    "pks2": jwks,
    "pkp2": st.none() | jwks,
    "ns": st.binary(min_size=32, max_size=32),
    "np": st.binary(min_size=32, max_size=32),
    "ns2": st.binary(min_size=32, max_size=32),
    "np2": st.binary(min_size=32, max_size=32),
    "macs": st.binary(min_size=32, max_size=32),
    "macp": st.binary(min_size=32, max_size=32),
    "macs2": st.binary(min_size=32, max_size=32),
    "macp2": st.binary(min_size=32, max_size=32),
    "noob_id": st.binary(min_size=16, max_size=16),
    "sleep_time": st.none() | st.integers(0, 3600),
    "peer_state": st.integers(0, 3),
    "keying_mode": st.integers(2, 3),
    "error_code": st.integers(1001, 6999),
    "error_info": st.none() | st.text(clean, max_size=40),
}
WITH_DIRECTION = [(cls, messages.decode_request) for cls in messages.REQUESTS.values()] + [
    (cls, messages.decode_response) for cls in messages.RESPONSES.values()
]
PEER = '"PeerId":"07KRU6OgqX0HIeRFldnbSW"'
NONCE = "A" * 43
OFFER = '{"Type":2,"Vers":[1],"PeerId":"x","Cryptosuites":[1],"Dirs":3,"ServerInfo":{}}'


def outcome(decode, octets):
    try:
        return decode(octets), None
    except NoobError as error:
        return None, error.code


def strategy(cls):
    return st.builds(cls, **{f.name: VALUES[f.name] for f in fields(cls) if f.name != "received"})


@settings(max_examples=12)
@pytest.mark.parametrize(("cls", "decode"), WITH_DIRECTION, ids=lambda v: v.__name__)
@given(data=st.data())
def test_every_message_round_trips(cls, decode, data):
    message = data.draw(strategy(cls))
    again = decode(message.encode())
    assert again == message
    assert again.encode() == message.encode()
    assert again.verbatim() == message.verbatim()


@settings(max_examples=150)
@given(
    st.binary(max_size=60)
    | st.dictionaries(
        st.sampled_from(
            ["Type", "PeerId", "PeerState", "Vers", "NoobId", "MACs", "Ns2", "KeyingMode", "PKs2"]
        ),
        st.integers(-1, 10) | st.text(max_size=5) | st.lists(st.integers(0, 3), max_size=2) | infos,
        max_size=4,
    ).map(lambda members: json.dumps(members).encode())
)
def test_any_bytes_decode_or_are_refused_with_a_code_of_the_registry(octets):
    for decode in (messages.decode_request, messages.decode_response):
        message, code = outcome(decode, octets)
        if message is None:
            assert code in constants.ERROR_INFO
        else:
            assert decode(message.encode()) == message


@settings(max_examples=60)
@given(st.sampled_from([OFFER]), st.integers(0, len(OFFER) - 1), st.integers(0, 255))
def test_one_changed_octet_of_an_offer_never_raises_anything_else(text, at, octet):
    changed = text.encode()[:at] + bytes((octet,)) + text.encode()[at + 1 :]
    message, code = outcome(messages.decode_request, changed)
    assert message is not None or code in constants.ERROR_INFO


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 1002),
        ("[]", 1002),
        ("{}", 1002),
        ('{"Type":1,"Type":1,"PeerState":0}', 1002),
        ('{"Type":1}', 1002),
        ('{"Type":1,"PeerState":0,"Extra":1}', 1002),
        ('{"Type":1,"PeerState":2}', 1002),
        ('{"Type":10}', 1003),
        ('{"Type":"1"}', 1003),
        ('{"Type":true}', 1003),
        ('{"Type":1.0,"PeerState":0}', 1003),
        ('{"Type":1,"PeerState":4}', 1003),
        ('{"Type":1,"PeerState":-1}', 1003),
        ('{"Type":1,"PeerState":false}', 1003),
        ('{"Type":1,"PeerState":0,"PeerId":"a b"}', 1003),
        ('{"Type":1,"PeerState":0,"PeerId":""}', 1003),
        ('{"Type":1,"PeerState":0,"PeerId":"' + "x" * 65 + '"}', 1003),
        ('{"Type":1,"PeerState":0,"PeerId":null}', 1003),
        ('{"Type":2,"Verp":1,' + PEER + ',"Cryptosuitep":1,"Dirp":0,"PeerInfo":{}}', 1003),
        ('{"Type":2,"Verp":1,' + PEER + ',"Cryptosuitep":"1","Dirp":1,"PeerInfo":{}}', 1003),
        ('{"Type":2,"Verp":1,' + PEER + ',"Cryptosuitep":1,"Dirp":1,"PeerInfo":[]}', 5004),
        (
            '{"Type":2,"Verp":1,' + PEER + ',"Cryptosuitep":1,"Dirp":1,"PeerInfo":{"a":"' + "é" * 250 + '"}}',
            5004,
        ),
        ('{"Type":2,"Verp":1,' + PEER + ',"Cryptosuitep":1,"Dirp":1}', 1002),
        ('{"Type":3,' + PEER + ',"PKp":"","Np":"' + NONCE + '"}', 1005),
        ('{"Type":3,' + PEER + ',"PKp":{},"Np":"' + NONCE[1:] + '"}', 1003),
        ('{"Type":3,' + PEER + ',"PKp":{},"Np":"' + NONCE + '="}', 1003),
        ('{"Type":3,' + PEER + ',"PKp":{},"Np":"' + NONCE[1:] + '+"}', 1003),
        ('{"Type":3,' + PEER + ',"PKp":{},"Np":"' + NONCE[1:] + 'B"}', 1003),
        ('{"Type":4,' + PEER + ',"SleepTime":5}', 1002),
        ('{"Type":5,' + PEER + ',"NoobId":"AAAA"}', 1003),
        ('{"Type":6,' + PEER + ',"MACp":"é"}', 1003),
        ('{"Type":0,"ErrorCode":"x"}', 1003),
        ('{"Type":0,"ErrorCode":1001,"ErrorInfo":"' + "x" * 501 + '"}', 1003),
    ],
)
def test_a_bad_response_gets_its_code(text, code):
    with pytest.raises(NoobError) as caught:
        messages.decode_response(text.encode())
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("[1],", "[],", 1003),
        ("[1],", "[1,1],", 1003),
        ("[1],", "[-1],", 1003),
        ("[1],", "[1.5],", 1003),
        ("[1],", "1,", 1003),
        ('"x"', '"x","NewNAI":"a@b@c"', 1003),
        ('"x"', '"x","NewNAI":"noob@host"', 1003),
        ('"x"', '"x","SleepTime":1', 1002),
        ("{}}", '"{}"}', 5002),
        ("{}}", '{"a":"' + "x" * 500 + '"}}', 5002),
    ],
)
def test_a_bad_offer_gets_its_code(old, new, code):
    with pytest.raises(NoobError) as caught:
        messages.decode_request(OFFER.replace(old, new, 1).encode())
    assert caught.value.code == code


def test_reconnect_keys_must_fit_the_keying_mode():
    text = '{"Type":8,' + PEER + ',"KeyingMode":%s,"Ns2":"' + NONCE + '"%s}'
    assert messages.decode_request((text % (1, "")).encode()).pks2 is None
    assert messages.decode_request((text % (1, ',"PKs2":""')).encode()).pks2 is None
    assert messages.decode_request((text % (2, ',"PKs2":{}')).encode()).pks2 == "{}"
    for mode, key in ((1, ',"PKs2":{}'), (2, ""), (3, ',"PKs2":""')):
        with pytest.raises(NoobError, match="1002"):
            messages.decode_request((text % (mode, key)).encode())
    for mode in (0, 4):
        with pytest.raises(NoobError, match="1003"):
            messages.decode_request((text % (mode, "")).encode())


def test_a_trailing_nul_of_c_implementations_is_read():
    assert messages.decode_response(b'{"Type":1,"PeerState":0}\0').peer_state == 0


def test_an_info_object_that_is_too_long_is_our_fault_before_it_is_sent():
    offer = messages.decode_request(OFFER.encode())
    with pytest.raises(LocalError):
        replace(offer, received={}, server_info='{"a":"' + "x" * 500 + '"}').encode()


@settings(max_examples=40)
@given(
    st.sampled_from(
        [
            r'{"b":1,"a":2}',
            r'{"u":"\u00e9\u0041\/"}',
            '{"ö":"😀"}',
            '{"n":1.0,"m":1e2,"z":-0}',
            '{ "w" : [ 1 ,\t2 ],\n"x":{} }',
        ]
    ),
    st.permutations(["Verp", "PeerId", "Cryptosuitep", "Dirp", "PeerInfo"]),
)
def test_hash_inputs_take_members_verbatim_in_whatever_order_they_came(info, order):
    texts = {"Verp": "1", "PeerId": r'"\u0078"', "Cryptosuitep": "2", "Dirp": "3", "PeerInfo": info}
    octets = ("{ " + " , ".join(f'"{n}" : {texts[n]}' for n in order) + ' , "Type":2}').encode()
    message = messages.decode_response(octets)
    assert (message.peer_id, message.peer_info) == ("x", info)
    transcript = recorded(opened("noob@eap-noob.arpa", "0"), message)
    assert transcript[Element.PEER_INFO] == info
    assert transcript[Element.PEER_ID] == r'"\u0078"'
    assert f',"noob@eap-noob.arpa",{info},0,'.encode() in hash_input(1, transcript, bytes(16))


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("noob@eap-noob.arpa", True),
        ("@noob.eap.arpa", True),
        ("noob@eap-noob.net", True),
        ("noob", True),
        ("fred.smith+s1@example.com", True),
        ("", False),
        ("@", False),
        ("noob@", False),
        ("noob@arpa", False),
        ("noob@.arpa.net", False),
        ("noob@-x.arpa", False),
        ("no ob@eap-noob.arpa", False),
        (".noob@eap-noob.arpa", False),
        ("a@b.c@d.e", False),
        ("noob@eap-noob.arpa\n", False),
        ("x" * 240 + "@eap-noob.arpa", False),
        ("\ud800@eap-noob.arpa", True),
    ],
)
def test_identities_follow_rfc_7542(text, good):
    if "\ud800" in text:  # cannot come from the wire; must only not raise
        assert messages.is_nai(text) in (True, False)
    else:
        assert messages.is_nai(text) is good


def test_every_error_class_has_a_code_and_every_code_a_text():
    assert set(constants.ERROR_CODES) == set(PEER_ERRORS)
    assert set(constants.ERROR_CODES.values()) <= set(constants.NoobErrorCode)
    assert set(constants.ERROR_INFO) == set(constants.NoobErrorCode)
