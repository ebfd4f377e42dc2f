"""DI: the device's first credential, from its manufacturer (FDO 1.1 section 5.2)."""

from __future__ import annotations

from bootstrap.errors import MalformedMessage
from bootstrap.wire.keys import KeyKind

from ..constants import MessageType
from ..messages import AppStart, DeviceMfgInfo, DiDone, SetCredentials, SetHmac
from ..reported import expect
from ..voucher import OvHeader
from .credential import DeviceCredential

Send = tuple[int, bytes]
SECRET_LENGTH = 32
"""Octets of the HMAC secret; 48 where hashes are SHA-384 would do no harm, 32 are enough for either."""


class DiDevice:
    """``begin``, then ``receive`` twice. ``secret``: fresh random octets, SECRET_LENGTH of them."""

    def __init__(self, info: DeviceMfgInfo, secret: bytes, kind: KeyKind) -> None:
        self._info = info
        self._secret = secret
        self._kind = kind
        self._credential: DeviceCredential | None = None
        self.header: OvHeader | None = None
        """What the manufacturer sent, once it did."""

    def begin(self) -> Send:
        """Message 10."""
        self._credential = None
        return int(MessageType.DI_APP_START), AppStart(self._info).encode()

    def receive(self, number: int, body: bytes) -> Send | DeviceCredential:
        """The next message, or the credential to keep. Raises PeerError."""
        if self._credential is None:
            expect(number, body, MessageType.DI_SET_CREDENTIALS)
            return int(MessageType.DI_SET_HMAC), self._set_hmac(SetCredentials.decode(body).header)
        expect(number, body, MessageType.DI_DONE)
        DiDone.decode(body)
        return self._credential

    def _set_hmac(self, octets: bytes) -> bytes:
        header = self.header = OvHeader.decode(octets)
        if header.device_info != self._info.device_info:
            raise MalformedMessage("credential for a device of another kind")
        self._credential = DeviceCredential.of(header, self._secret, self._kind)
        return SetHmac(self._credential.hmac(octets)).encode()
