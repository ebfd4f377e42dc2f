"""COSE (RFC 9052, RFC 9053), the parts that our protocols need, over cbor2 and ``cryptography``.

``encrypt0``  one profile of COSE_Encrypt0 for our own resources
``sign1``     COSE_Sign1, tag 18
``mac0``      COSE_Mac0, tag 17
``cose_key``  public keys as COSE_Key
"""

from bootstrap.wire.cose.cose_key import decode_key, encode_key
from bootstrap.wire.cose.encrypt0 import (
    COAP_CONTENT_FORMAT,
    IV_LENGTH,
    KEY_LENGTH,
    MAX_KID_LENGTH,
    MEDIA_TYPE,
    TAG_LENGTH,
    Algorithm,
    Encrypt0,
    HeaderLabel,
    enc_structure,
    open,
    seal,
)
from bootstrap.wire.cose.mac0 import Mac0, mac_structure
from bootstrap.wire.cose.sign1 import Sign1, sign1

__all__ = [
    "COAP_CONTENT_FORMAT",
    "IV_LENGTH",
    "KEY_LENGTH",
    "MAX_KID_LENGTH",
    "MEDIA_TYPE",
    "TAG_LENGTH",
    "Algorithm",
    "Encrypt0",
    "HeaderLabel",
    "Mac0",
    "Sign1",
    "decode_key",
    "enc_structure",
    "encode_key",
    "mac_structure",
    "open",
    "seal",
    "sign1",
]
