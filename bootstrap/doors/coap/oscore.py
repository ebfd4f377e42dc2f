"""The OSCORE security context (RFC 8613) of one closing exchange, in memory."""

from __future__ import annotations

from aiocoap import Message, oscore
from aiocoap import error as coap_error

from bootstrap.errors import NotAuthenticated
from bootstrap.wire import coap_eap
from bootstrap.wire.coap_eap import CipherSuite, OscoreMaster

_AEAD = {algorithm.value: algorithm for algorithm in oscore.algorithms.values()}
_REPLAY_WINDOW = 32


class ClosingContext(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):  # type: ignore[misc]
    """The authenticator's side: its Sender ID is RID-I, its Recipient ID RID-C (RFC 9820).

    Made for one authentication from a fresh MSK and dropped with it, so neither the sequence number
    nor the replay window has to outlive the process.
    """

    id_context = None
    echo_recovery = None

    def __init__(self, suite: CipherSuite, master: OscoreMaster, *, rid_c: bytes, rid_i: bytes) -> None:
        self.alg_aead = _AEAD[coap_eap.COSE_AEAD[suite]]
        self.hashfun = coap_eap.hash_of(suite)
        self.sender_id = rid_i
        self.recipient_id = rid_c
        self.sender_sequence_number = 0
        self.recipient_replay_window = oscore.ReplayWindow(_REPLAY_WINDOW, lambda: None)
        self.recipient_replay_window.initialize_empty()
        self.derive_keys(master.salt, master.secret)

    def post_seqnoincrease(self) -> None:
        """Nothing to write down: the context dies with the conversation."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.sender_id.hex()}>"

    def open_response(self, response: Message, request_id: oscore.RequestIdentifiers) -> Message:
        """The message inside; raises NotAuthenticated, which also means that the peer has other keys."""
        if response.opt.oscore is None:
            raise NotAuthenticated(f"{response.code} in clear where OSCORE confirms the keys")
        try:
            inner, _ = self.unprotect(response, request_id)
        except (coap_error.Error, ValueError) as error:
            raise NotAuthenticated(f"OSCORE response: {type(error).__name__}") from None
        return inner
