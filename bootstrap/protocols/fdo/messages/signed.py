"""What the signed messages share: a payload, header labels, and the COSE_Sign1 they came or go in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from bootstrap.errors import LocalError
from bootstrap.wire.cose import Sign1, sign1
from bootstrap.wire.keys import PublicKeyHandle, Signer

S = TypeVar("S", bound="Signed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A message that is one COSE_Sign1 (RFC 9052 section 4.2), tag 18, with empty external_aad."""

    envelope: Sign1 | None = field(default=None, compare=False, repr=False)
    """As received, or as ``sign`` made it."""

    def payload(self) -> bytes:
        """What is signed."""
        raise NotImplementedError

    def unprotected(self) -> dict[int, Any]:
        """Header labels that nothing protects."""
        return {}

    def sign(self: S, signer: Signer, algorithm: int) -> S:
        """The same message with its signature."""
        return replace(
            self, envelope=sign1(signer, algorithm, self.payload(), unprotected=self.unprotected() or None)
        )

    def verify(self, key: PublicKeyHandle) -> None:
        """Raises NotAuthenticated unless ``key`` signed the payload as received."""
        self._signed().verify(key)

    def encode(self) -> bytes:
        """Tagged 18. Raises LocalError when nobody has signed yet."""
        return self._signed().encode()

    @property
    def algorithm(self) -> int:
        """COSE algorithm of the signature."""
        return self._signed().algorithm

    def _signed(self) -> Sign1:
        if self.envelope is None:
            raise LocalError(f"{type(self).__name__} is not signed yet")
        return self.envelope
