"""COSE_Key (RFC 9052 section 7, RFC 9053 section 7, RFC 8230 section 4): public keys only."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from bootstrap.errors import MalformedMessage
from bootstrap.wire.keys import KeyKind, PublicKeyHandle

_KTY, _ALG = 1, 3
_CRV, _X, _Y = -1, -2, -3
_N, _E = -1, -2
_PRIVATE_EC, _PRIVATE_RSA = -4, frozenset({-3, -4, -5, -6, -7, -8})


class KeyType(IntEnum):
    """Values of kty."""

    EC2 = 2
    RSA = 3


_CURVES = {1: KeyKind.P256, 2: KeyKind.P384}
_CURVE_IDS = {kind: number for number, kind in _CURVES.items()}


def decode_key(item: Any, *, need_type: bool = True) -> PublicKeyHandle:
    """The public key in a COSE_Key map. ``need_type`` False takes one without kty, as some peers send it, for
    what its other labels say. Raises MalformedMessage, for a private key too."""
    if not isinstance(item, Mapping):
        raise MalformedMessage("COSE_Key is not a map")
    kty = item.get(_KTY)
    if kty is None and not need_type:
        kty = KeyType.EC2 if type(item.get(_CRV)) is int else KeyType.RSA
    if kty == KeyType.EC2:
        return _ec2(item)
    if kty == KeyType.RSA:
        return _rsa(item)
    raise MalformedMessage("COSE_Key of a type that is not supported")


def _ec2(item: Mapping[Any, Any]) -> PublicKeyHandle:
    if _PRIVATE_EC in item:
        raise MalformedMessage("COSE_Key with a private half")
    crv, x, y = item.get(_CRV), item.get(_X), item.get(_Y)
    if type(crv) is not int or crv not in _CURVES or type(x) is not bytes or type(y) is not bytes:
        raise MalformedMessage("COSE_Key is not a point on a curve that is supported")
    return PublicKeyHandle.from_xy(_CURVES[crv], x, y)


def _rsa(item: Mapping[Any, Any]) -> PublicKeyHandle:
    if _PRIVATE_RSA & item.keys():
        raise MalformedMessage("COSE_Key with a private half")
    n, e = item.get(_N), item.get(_E)
    if type(n) is not bytes or type(e) is not bytes:
        raise MalformedMessage("COSE_Key is not an RSA public key")
    return PublicKeyHandle.from_rsa(n, e)


def encode_key(key: PublicKeyHandle) -> dict[int, Any]:
    """The map, without alg."""
    if key.kind.is_ec:
        x, y = key.xy()
        return {_KTY: int(KeyType.EC2), _CRV: _CURVE_IDS[key.kind], _X: x, _Y: y}
    n, e = key.ne()
    return {_KTY: int(KeyType.RSA), _N: n, _E: e}
