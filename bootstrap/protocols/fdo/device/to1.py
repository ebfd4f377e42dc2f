"""TO1: the device asks a rendezvous server where its owner is (FDO 1.1 section 5.4)."""

from __future__ import annotations

from bootstrap.wire.keys import Signer, default_algorithm

from ..constants import MessageType
from ..messages import HelloRv, HelloRvAck, ProveToRv, RvRedirect, To1d
from ..primitives import SigInfo
from ..reported import expect
from .credential import DeviceCredential

Send = tuple[int, bytes]


class To1Device:
    """``begin``, then ``receive`` twice. The to1d that comes out is verified in TO2, by the owner's key."""

    def __init__(self, credential: DeviceCredential, signer: Signer, *, pss: bool = False) -> None:
        self._credential = credential
        self._signer = signer
        self._algorithm = default_algorithm(signer.public.kind, pss=pss)
        self._awaited = MessageType.TO1_HELLO_RV_ACK

    def begin(self) -> Send:
        """Message 30."""
        self._awaited = MessageType.TO1_HELLO_RV_ACK
        hello = HelloRv(self._credential.guid, SigInfo(self._algorithm))
        return int(MessageType.TO1_HELLO_RV), hello.encode()

    def receive(self, number: int, body: bytes) -> Send | To1d:
        """The next message, or where the owner is. Raises PeerError."""
        expect(number, body, self._awaited)
        if self._awaited == MessageType.TO1_RV_REDIRECT:
            return To1d.decode(RvRedirect.decode(body).to1d)
        self._awaited = MessageType.TO1_RV_REDIRECT
        proof = ProveToRv(nonce=HelloRvAck.decode(body).nonce, guid=self._credential.guid)
        return int(MessageType.TO1_PROVE_TO_RV), proof.sign(self._signer, self._algorithm).encode()
