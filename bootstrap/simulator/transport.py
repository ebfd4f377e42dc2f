"""What a simulated device needs of a way in, the same for RADIUS, HTTPS and CoAP."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from bootstrap.wire import eap

IDENTITY_REQUEST = eap.request(0, eap.EapType.IDENTITY).encode()
"""With which the access point, not the server, begins (RFC 3579 section 2.1)."""


class EapPeer(Protocol):
    """The device's end of one EAP run. The lower layer hands it packets and asks for its keys."""

    @property
    def msk(self) -> bytes:
        """The 64-octet Master Session Key once the method succeeded, else empty."""
        ...

    def respond(self, request: bytes) -> bytes | None:
        """The answer to one EAP packet; None to Success, Failure and whatever deserves silence."""
        ...


@dataclass(frozen=True, slots=True)
class EapResult:
    """How one EAP run ended for the lower layer. EAP-NOOB's first exchange always ends without success."""

    success: bool
    msk_confirmed: bool | None = None
    """Whether both ends derived the same keys; None where the transport cannot tell or there are none."""
    reason: str = ""
    """Why the run broke off without the server's verdict, one word for a summary."""


class Conversation(Protocol):
    """One EAP run over a transport, identity first."""

    async def run(self, peer: EapPeer) -> EapResult:
        """Carry packets between peer and server until one of them ends it."""
        ...


class Transport(Protocol):
    """A way in, shared by any number of simultaneous conversations."""

    async def authenticate(self, peer: EapPeer) -> EapResult:
        """One conversation from beginning to end. A network that fails is a result, not an exception."""
        ...

    async def close(self) -> None:
        """Release sockets and connections."""
        ...


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities of what a bad network does to each message, in each direction."""

    loss: float = 0.0
    repeat: float = 0.0
    reorder: float = 0.0
    seed: int | None = None

    def dice(self) -> Dice:
        """A sequence of fates; the same seed gives the same sequence."""
        return Dice(self)


class Dice:
    """Decides what happens to one message after another."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._random = random.Random(faults.seed)  # noqa: S311 - faults, not keys

    def deliveries(self) -> tuple[float, ...]:
        """Delays in seconds of the copies: none if lost, two if repeated, a late one if reordered."""
        if self._falls(self._faults.loss):
            return ()
        copies = 2 if self._falls(self._faults.repeat) else 1
        return tuple(self._delay() for _ in range(copies))

    def _delay(self) -> float:
        return self._random.uniform(0.02, 0.2) if self._falls(self._faults.reorder) else 0.0

    def _falls(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability
