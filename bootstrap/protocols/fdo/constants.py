"""The numbers of FIDO Device Onboard 1.1, the limits we set, and the errors that carry its codes."""

from __future__ import annotations

from enum import IntEnum

from bootstrap import errors

PROTOCOL_VERSION = 101
"""Also the version in vouchers and in the URL ``/fdo/101/msg/<n>``."""

GUID_LENGTH = 16
NONCE_LENGTH = 16
UEID_LENGTH = 17
"""An EAT's ueid: 01 and the GUID."""
UEID_TYPE_RAND = 1

MESSAGE_MAX_LENGTH = 65535
"""Octets of one message body, both ways; foreign servers and clients stop at the same number."""
VOUCHER_MAX_LENGTH = 65536
"""Octets of one voucher."""
ENTRIES_MAX = 255
"""TO2.ProveOVHdr counts the entries in one octet."""
CHAIN_MAX = 16
"""Certificates in one X5CHAIN."""
CERTIFICATE_MAX_LENGTH = 8192
DEVICE_INFO_MAX_LENGTH = 512
"""Characters."""
SERIAL_MAX_LENGTH = 256
"""Characters of DeviceMfgInfo's serial number."""
DIRECTIVES_MAX = 16
INSTRUCTIONS_MAX = 32
"""Of one directive; the registry knows sixteen variables."""
ADDRESSES_MAX = 32
"""RVTO2Addr entries in one to1d."""
DNS_MAX_LENGTH = 253
KEY_EXCHANGE_MAX_LENGTH = 1024
"""Octets of xA or xB; the longest, DHKEXid15 and ASYMKEX3072, have 384."""
SERVICE_INFO_DEFAULT_LENGTH = 1300
"""What null means in messages 66 and 67."""
SERVICE_INFO_KEY_MAX_LENGTH = 256
ERROR_TEXT_MAX_LENGTH = 1024
"""Characters of a peer's EMErrorStr that we keep."""
WAIT_SECONDS_MAX = 0xFFFFFFFF

DELAY_DEFAULT_SECONDS = 120
"""After the last directive, when it names no delay; 25 percent of jitter belong on top."""

EUPH_NONCE = -259
"""COSE header label of an EAT's second nonce."""
CUPH_NONCE = 256
"""COSE header label of NonceTO2ProveDv in TO2.ProveOVHdr."""
CUPH_OWNER_PUBLIC_KEY = 257
EAT_NONCE = 10
EAT_UEID = 256
EAT_FDO = -257
"""EAT claim with FDO's own payload."""


class MessageType(IntEnum):
    """Message numbers; a reply is its request plus one."""

    DI_APP_START = 10
    DI_SET_CREDENTIALS = 11
    DI_SET_HMAC = 12
    DI_DONE = 13
    TO0_HELLO = 20
    TO0_HELLO_ACK = 21
    TO0_OWNER_SIGN = 22
    TO0_ACCEPT_OWNER = 23
    TO1_HELLO_RV = 30
    TO1_HELLO_RV_ACK = 31
    TO1_PROVE_TO_RV = 32
    TO1_RV_REDIRECT = 33
    TO2_HELLO_DEVICE = 60
    TO2_PROVE_OV_HDR = 61
    TO2_GET_OV_NEXT_ENTRY = 62
    TO2_OV_NEXT_ENTRY = 63
    TO2_PROVE_DEVICE = 64
    TO2_SETUP_DEVICE = 65
    TO2_DEVICE_SERVICE_INFO_READY = 66
    TO2_OWNER_SERVICE_INFO_READY = 67
    TO2_DEVICE_SERVICE_INFO = 68
    TO2_OWNER_SERVICE_INFO = 69
    TO2_DONE = 70
    TO2_DONE2 = 71
    ERROR = 255


MESSAGE_NAMES: dict[int, str] = {
    10: "DI.AppStart",
    11: "DI.SetCredentials",
    12: "DI.SetHMAC",
    13: "DI.Done",
    20: "TO0.Hello",
    21: "TO0.HelloAck",
    22: "TO0.OwnerSign",
    23: "TO0.AcceptOwner",
    30: "TO1.HelloRV",
    31: "TO1.HelloRVAck",
    32: "TO1.ProveToRV",
    33: "TO1.RVRedirect",
    60: "TO2.HelloDevice",
    61: "TO2.ProveOVHdr",
    62: "TO2.GetOVNextEntry",
    63: "TO2.OVNextEntry",
    64: "TO2.ProveDevice",
    65: "TO2.SetupDevice",
    66: "TO2.DeviceServiceInfoReady",
    67: "TO2.OwnerServiceInfoReady",
    68: "TO2.DeviceServiceInfo",
    69: "TO2.OwnerServiceInfo",
    70: "TO2.Done",
    71: "TO2.Done2",
    255: "Error",
}
"""The specification's spelling, for people."""

OPENING = frozenset(
    {
        MessageType.DI_APP_START,
        MessageType.TO0_HELLO,
        MessageType.TO1_HELLO_RV,
        MessageType.TO2_HELLO_DEVICE,
    }
)
"""First messages of a protocol: they come without a token."""

ENCRYPTED = frozenset(MessageType(number) for number in range(65, 72))
"""Messages inside the TO2 session; everything else is in clear."""


class KeyType(IntEnum):
    """pkType."""

    RSA2048RESTR = 1
    RSAPKCS = 5
    RSAPSS = 6
    SECP256R1 = 10
    SECP384R1 = 11


class KeyEncoding(IntEnum):
    """pkEnc."""

    CRYPTO = 0
    X509 = 1
    X5CHAIN = 2
    COSEKEY = 3


class SigType(IntEnum):
    """sgType of sigInfo: COSE algorithm numbers, and EPID, which we refuse."""

    ES256 = -7
    ES384 = -35
    PS256 = -37
    PS384 = -38
    RS256 = -257
    RS384 = -258
    EPID10 = 90
    EPID11 = 91


class RVVariable(IntEnum):
    """RVVariable of a rendezvous instruction."""

    DEV_ONLY = 0
    OWNER_ONLY = 1
    IP_ADDRESS = 2
    DEV_PORT = 3
    OWNER_PORT = 4
    DNS = 5
    SV_CERT_HASH = 6
    CL_CERT_HASH = 7
    USER_INPUT = 8
    WIFI_SSID = 9
    WIFI_PW = 10
    MEDIUM = 11
    PROTOCOL = 12
    DELAYSEC = 13
    BYPASS = 14
    EXT_RV = 15


class RVProtocol(IntEnum):
    """RVProtocolValue: how to reach the rendezvous server. Not the numbers of TransportProtocol."""

    REST = 0
    HTTP = 1
    HTTPS = 2
    TCP = 3
    TLS = 4
    COAP_TCP = 5
    COAP_UDP = 6


class TransportProtocol(IntEnum):
    """TransportProtocol of an RVTO2Addr entry: how to reach the owner."""

    TCP = 1
    TLS = 2
    HTTP = 3
    COAP = 4
    HTTPS = 5
    COAPS = 6


class ErrorCode(IntEnum):
    """EMErrorCode of message 255."""

    INVALID_JWT_TOKEN = 1
    INVALID_OWNERSHIP_VOUCHER = 2
    INVALID_OWNER_SIGN_BODY = 3
    INVALID_IP_ADDRESS = 4
    INVALID_GUID = 5
    RESOURCE_NOT_FOUND = 6
    MESSAGE_BODY_ERROR = 100
    INVALID_MESSAGE_ERROR = 101
    CRED_REUSE_ERROR = 102
    INTERNAL_SERVER_ERROR = 500


class InvalidToken(errors.UnknownDevice):
    """The Authorization value names no conversation of ours, or one that has ended."""


class InvalidVoucher(errors.NotAuthenticated):
    """An ownership voucher that does not prove what it claims."""


class InvalidOwnerSign(errors.NotAuthenticated):
    """TO0.OwnerSign is not signed by the key of the voucher's last entry."""


class InvalidIpAddress(errors.MalformedMessage):
    """An address that is neither IPv4 nor IPv6."""


class InvalidGuid(errors.UnknownDevice):
    """Octets that are no GUID."""


class ResourceNotFound(errors.UnknownDevice):
    """No voucher, or no owner, for this GUID."""


class CredentialReuse(errors.NotAuthorized):
    """The device does not let its credential be used again (TO2.SetupDevice)."""


ERROR_CODES: dict[type[errors.PeerError], int] = {
    errors.MalformedMessage: ErrorCode.MESSAGE_BODY_ERROR,
    errors.UnexpectedMessage: ErrorCode.INVALID_MESSAGE_ERROR,
    errors.NotAuthenticated: ErrorCode.INVALID_MESSAGE_ERROR,
    errors.NotAuthorized: ErrorCode.INVALID_MESSAGE_ERROR,
    errors.UnknownDevice: ErrorCode.RESOURCE_NOT_FOUND,
    errors.Replayed: ErrorCode.INVALID_MESSAGE_ERROR,
    errors.TooManyRequests: ErrorCode.INTERNAL_SERVER_ERROR,
    InvalidToken: ErrorCode.INVALID_JWT_TOKEN,
    InvalidVoucher: ErrorCode.INVALID_OWNERSHIP_VOUCHER,
    InvalidOwnerSign: ErrorCode.INVALID_OWNER_SIGN_BODY,
    InvalidIpAddress: ErrorCode.INVALID_IP_ADDRESS,
    InvalidGuid: ErrorCode.INVALID_GUID,
    ResourceNotFound: ErrorCode.RESOURCE_NOT_FOUND,
    CredentialReuse: ErrorCode.CRED_REUSE_ERROR,
}
"""Class to code. There is no number for "too often": 500 is what a device retries after."""

ERROR_TEXT: dict[int, str] = {
    ErrorCode.INVALID_JWT_TOKEN: "Invalid token",
    ErrorCode.INVALID_OWNERSHIP_VOUCHER: "Invalid ownership voucher",
    ErrorCode.INVALID_OWNER_SIGN_BODY: "Invalid owner signature",
    ErrorCode.INVALID_IP_ADDRESS: "Invalid IP address",
    ErrorCode.INVALID_GUID: "Invalid GUID",
    ErrorCode.RESOURCE_NOT_FOUND: "Not found",
    ErrorCode.MESSAGE_BODY_ERROR: "Message body is not well-formed",
    ErrorCode.INVALID_MESSAGE_ERROR: "Message failed validation",
    ErrorCode.CRED_REUSE_ERROR: "Credential reuse rejected",
    ErrorCode.INTERNAL_SERVER_ERROR: "Internal server error",
}
"""EMErrorStr: what the peer may hear. Never which of our checks failed."""


def error_code(error: BaseException) -> ErrorCode:
    """The number of the closest class in ``ERROR_CODES``; whatever is no PeerError is 500."""
    for cls in type(error).__mro__:
        if cls in ERROR_CODES:
            return ErrorCode(ERROR_CODES[cls])
    return ErrorCode.INTERNAL_SERVER_ERROR
