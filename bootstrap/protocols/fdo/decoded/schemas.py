"""The field names of every message (FDO 1.1 section 5), and how each field is shown."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from bootstrap.protocols.fdo.constants import ErrorCode, MessageType, RVVariable, TransportProtocol
from bootstrap.protocols.fdo.decoded.masks import (
    masked,
    odd,
    secret,
    service_info_value,
    shortened,
    text_masked,
)
from bootstrap.protocols.fdo.decoded.notation import (
    ITEMS_SHOWN,
    Major,
    Node,
    Renderer,
    Unreadable,
    plain,
    read,
    text_shown,
)

Field = tuple[str, Renderer]
_STEP = "  "
_SIGN1_TAG = 18


def _lines(opening: str, lines: Sequence[str], closing: str, indent: int) -> str:
    if not lines:
        return opening + closing
    inner = "\n" + _STEP * (indent + 1)
    return opening + inner + ("," + inner).join(lines) + "\n" + _STEP * indent + closing


def record(*fields: Field) -> Renderer:
    """An array whose elements have names; one that is longer or shorter shows what is there."""

    def show(node: Node, indent: int) -> str:
        if node.major is not Major.ARRAY:
            return odd(node)
        named = [
            f"/ {name} / {how(item, indent + 1)}"
            for (name, how), item in zip(fields, node.items, strict=False)
        ]
        return _lines(
            "[", named + [shortened(item) for item in node.items[len(fields) :][:ITEMS_SHOWN]], "]", indent
        )

    return show


def each(how: Renderer, shown: int = ITEMS_SHOWN) -> Renderer:
    """An array of alike elements."""

    def show(node: Node, indent: int) -> str:
        if node.major is not Major.ARRAY:
            return odd(node)
        lines = [how(item, indent + 1) for item in node.items[:shown]]
        rest = len(node.items) - shown
        return _lines("[", lines + ([f"/ and {rest} more /"] if rest > 0 else []), "]", indent)

    return show


def embedded(how: Renderer) -> Renderer:
    """A bstr with CBOR in it; null passes."""

    def show(node: Node, indent: int) -> str:
        if node.major is not Major.OCTETS:
            return how(node, indent) if node.major is Major.ARRAY else odd(node)
        try:
            return f"<< {how(read(node.octets), indent)} >>"
        except Unreadable:
            return masked(node.octets)

    return show


def signed(payload: Renderer) -> Renderer:
    """A COSE_Sign1, tagged or not: headers, payload, and the beginning of the signature."""
    whole = record(
        ("protected", embedded(plain)),
        ("unprotected", headers),
        ("payload", embedded(payload)),
        ("signature", shortened),
    )

    def show(node: Node, indent: int) -> str:
        if node.major is Major.TAG and node.number == _SIGN1_TAG:
            return f"18({whole(node.items[0], indent)})"
        return whole(node, indent)

    return show


def named(names: type[IntEnum]) -> Renderer:
    """A number with its name beside it."""

    def show(node: Node, indent: int) -> str:
        known = node.major in (Major.UNSIGNED, Major.NEGATIVE) and node.number in set(names)
        return f"{plain(node)} / {names(node.number).name} /" if known else plain(node)

    return show


def headers(node: Node, indent: int) -> str:
    """Unprotected headers: nonces whole, an owner key in short."""
    if node.major is not Major.MAP:
        return odd(node)
    pairs = zip(node.items[::2], node.items[1::2], strict=True)
    shown = [
        f"{plain(k)}: {public_key(v, indent + 1) if v.major is Major.ARRAY else plain(v)}" for k, v in pairs
    ]
    return _lines("{", shown[:ITEMS_SHOWN], "}", indent)


def eat(node: Node, indent: int) -> str:
    """Claims of an EAT: 10 nonce, 256 ueid, -257 the FDO claim with the key-exchange parameter."""
    if node.major is not Major.MAP:
        return odd(node)
    pairs = zip(node.items[::2], node.items[1::2], strict=True)
    names = {10: "nonce", 256: "ueid", -257: "fdo"}
    inner = each(shortened)
    shown = [
        f"{plain(k)} / {names.get(k.number, '')} /: {inner(v, indent + 1) if v.major is Major.ARRAY else plain(v)}"
        for k, v in pairs
    ]
    return _lines("{", shown[:ITEMS_SHOWN], "}", indent)


def public_key(node: Node, indent: int) -> str:
    """``[pkType, pkEnc, pkBody]``; the body in short."""
    if node.major is not Major.ARRAY or len(node.items) != 3:
        return odd(node)
    body = node.items[2]
    last = (
        shortened(body)
        if body.major is Major.OCTETS
        else f"/ {body.major.name.lower()} of {len(body.items)} /"
    )
    return f"[{plain(node.items[0])}, {plain(node.items[1])}, {last}]"


def hashed(node: Node, indent: int) -> str:
    """``[type, octets]``, in short."""
    if node.major is not Major.ARRAY:
        return odd(node)
    return f"[{', '.join(shortened(item) for item in node.items[:4])}]"


def _instruction(node: Node, indent: int) -> str:
    if node.major is not Major.ARRAY or not node.items:
        return odd(node)
    variable, value = node.items[0], node.items[1:]
    how = secret if variable.number == RVVariable.WIFI_PW else embedded(plain)
    return f"[{', '.join([named(RVVariable)(variable, indent), *(how(item, indent) for item in value[:2])])}]"


def _key_value(node: Node, indent: int) -> str:
    if node.major is not Major.ARRAY or len(node.items) != 2 or node.items[1].major is not Major.OCTETS:
        return f"/ {node.major.name.lower()} that is no key-value /"
    key = node.items[0].text
    return f"[{text_shown(key)}, {service_info_value(key, node.items[1].octets)}]"


def _text(node: Node, indent: int) -> str:
    return text_shown(text_masked(node.text)) if node.major is Major.TEXT else plain(node)


rendezvous_info = each(each(_instruction))
key_values = each(_key_value)
_header = record(
    ("protver", plain),
    ("Guid", plain),
    ("RVInfo", rendezvous_info),
    ("DeviceInfo", plain),
    ("PubKey", public_key),
    ("OVDevCertChainHash", hashed),
)
_entry = signed(record(("hashPrev", hashed), ("hashHdr", hashed), ("extra", plain), ("PubKey", public_key)))
_voucher = record(
    ("protver", plain),
    ("OVHeader", embedded(_header)),
    ("HMac", hashed),
    ("OVDevCertChain", each(shortened)),
    ("OVEntries", each(_entry, 16)),
)
_address = record(
    ("RVIP", plain), ("RVDNS", plain), ("RVPort", plain), ("RVProtocol", named(TransportProtocol))
)
_to1d = signed(record(("RV", each(_address)), ("to0dHash", hashed)))
_to0d = record(("OwnershipVoucher", _voucher), ("waitSeconds", plain), ("NonceTO0Sign", plain))
_manufacturing = record(
    ("keyType", plain),
    ("keyEnc", plain),
    ("serial", plain),
    ("deviceInfo", plain),
    ("CSR", shortened),
)
_prove_header = record(
    ("OVHeader", embedded(_header)),
    ("NumOVEntries", plain),
    ("HMac", hashed),
    ("NonceTO2ProveOV", plain),
    ("eBSigInfo", plain),
    ("xAKeyExchange", shortened),
    ("HelloDeviceHash", hashed),
    ("maxOwnerMessageSize", plain),
)
_setup = record(
    ("RendezvousInfo", rendezvous_info),
    ("Guid", plain),
    ("NonceTO2SetupDv", plain),
    ("Owner2Key", public_key),
)

SCHEMAS: dict[int, tuple[str, Renderer]] = {
    MessageType.DI_APP_START: ("DI.AppStart", record(("DeviceMfgInfo", embedded(_manufacturing)))),
    MessageType.DI_SET_CREDENTIALS: ("DI.SetCredentials", record(("OVHeader", embedded(_header)))),
    MessageType.DI_SET_HMAC: ("DI.SetHMAC", record(("HMac", hashed))),
    MessageType.DI_DONE: ("DI.Done", record()),
    MessageType.TO0_HELLO: ("TO0.Hello", record()),
    MessageType.TO0_HELLO_ACK: ("TO0.HelloAck", record(("NonceTO0Sign", plain))),
    MessageType.TO0_OWNER_SIGN: ("TO0.OwnerSign", record(("to0d", embedded(_to0d)), ("to1d", _to1d))),
    MessageType.TO0_ACCEPT_OWNER: ("TO0.AcceptOwner", record(("waitSeconds", plain))),
    MessageType.TO1_HELLO_RV: ("TO1.HelloRV", record(("Guid", plain), ("eASigInfo", plain))),
    MessageType.TO1_HELLO_RV_ACK: ("TO1.HelloRVAck", record(("NonceTO1Proof", plain), ("eBSigInfo", plain))),
    MessageType.TO1_PROVE_TO_RV: ("TO1.ProveToRV", signed(eat)),
    MessageType.TO1_RV_REDIRECT: ("TO1.RVRedirect", _to1d),
    MessageType.TO2_HELLO_DEVICE: (
        "TO2.HelloDevice",
        record(
            ("maxDeviceMessageSize", plain),
            ("Guid", plain),
            ("NonceTO2ProveOV", plain),
            ("kexSuiteName", plain),
            ("cipherSuiteName", plain),
            ("eASigInfo", plain),
        ),
    ),
    MessageType.TO2_PROVE_OV_HDR: ("TO2.ProveOVHdr", signed(_prove_header)),
    MessageType.TO2_GET_OV_NEXT_ENTRY: ("TO2.GetOVNextEntry", record(("OVEntryNum", plain))),
    MessageType.TO2_OV_NEXT_ENTRY: ("TO2.OVNextEntry", record(("OVEntryNum", plain), ("OVEntry", _entry))),
    MessageType.TO2_PROVE_DEVICE: ("TO2.ProveDevice", signed(eat)),
    MessageType.TO2_SETUP_DEVICE: ("TO2.SetupDevice", signed(_setup)),
    MessageType.TO2_DEVICE_SERVICE_INFO_READY: (
        "TO2.DeviceServiceInfoReady",
        record(("ReplacementHMac", hashed), ("maxOwnerServiceInfoSz", plain)),
    ),
    MessageType.TO2_OWNER_SERVICE_INFO_READY: (
        "TO2.OwnerServiceInfoReady",
        record(("maxDeviceServiceInfoSz", plain)),
    ),
    MessageType.TO2_DEVICE_SERVICE_INFO: (
        "TO2.DeviceServiceInfo",
        record(("IsMoreServiceInfo", plain), ("ServiceInfo", key_values)),
    ),
    MessageType.TO2_OWNER_SERVICE_INFO: (
        "TO2.OwnerServiceInfo",
        record(("IsMoreServiceInfo", plain), ("IsDone", plain), ("ServiceInfo", key_values)),
    ),
    MessageType.TO2_DONE: ("TO2.Done", record(("NonceTO2ProveDv", plain))),
    MessageType.TO2_DONE2: ("TO2.Done2", record(("NonceTO2SetupDv", plain))),
    MessageType.ERROR: (
        "Error",
        record(
            ("EMErrorCode", named(ErrorCode)),
            ("EMPrevMsgID", plain),
            ("EMErrorStr", _text),
            ("EMErrorTs", plain),
            ("EMErrorUuid", plain),
        ),
    ),
}
