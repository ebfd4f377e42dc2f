"""TO0 from the owner's side: tell a rendezvous server where the owner of a voucher is (FDO 1.1 section 5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bootstrap.wire.keys import Signer

from .constants import MessageType
from .crypto.hashes import digest
from .messages import AcceptOwner, OwnerSign, RvTo2Addr, To0d, To0Hello, To0HelloAck, To1d
from .primitives import Hash
from .reported import expect
from .voucher import Voucher

Send = tuple[int, bytes]
"""Message number and body to send next."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server took it, for so long."""

    wait_seconds: int


class To0Client:
    """One registration: ``begin``, then ``receive`` each answer until it is ``Accepted``. Raises PeerError."""

    def __init__(
        self, voucher: Voucher, signer: Signer, addresses: Sequence[RvTo2Addr], wait_seconds: int
    ) -> None:
        self._voucher = voucher
        self._signer = signer
        self._addresses = tuple(addresses)
        self._wait_seconds = wait_seconds
        self._awaited = MessageType.TO0_HELLO_ACK

    def begin(self) -> Send:
        """Message 20."""
        self._awaited = MessageType.TO0_HELLO_ACK
        return int(MessageType.TO0_HELLO), To0Hello().encode()

    def receive(self, number: int, body: bytes) -> Send | Accepted:
        """The answer to it, or the end. Raises Reported, UnexpectedMessage, MalformedMessage."""
        expect(number, body, self._awaited)
        if self._awaited == MessageType.TO0_ACCEPT_OWNER:
            return Accepted(AcceptOwner.decode(body).wait_seconds)
        self._awaited = MessageType.TO0_ACCEPT_OWNER
        return int(MessageType.TO0_OWNER_SIGN), self._owner_sign(To0HelloAck.decode(body).nonce)

    def _owner_sign(self, nonce: bytes) -> bytes:
        to0d = To0d(self._voucher.encode(), self._wait_seconds, nonce).encode()
        kind = self._voucher.hash_type
        to1d = To1d(addresses=self._addresses, to0d_hash=Hash(kind, digest(kind, to0d)))
        signed = to1d.sign(self._signer, self._voucher.owner_key.algorithm())
        return OwnerSign(to0d, signed.encode()).encode()
