"""How much of us the outside may take up, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.protocols.provisioning.constants import MAX_REQUEST_LENGTH

MAX_PROVISION_REQUEST = MAX_REQUEST_LENGTH
"""Octets of one request to /provision, block-wise or not."""
MAX_FDO_TOKENS = 16_384
"""Tokens kept because they are too long for a query; DI's are the longest, some 3 KiB."""
MAX_UPLOADS = 512
"""Half-received block-wise requests at a time: at most 48 MiB."""
MAX_DOWNLOADS = 512
MAX_DOWNLOAD_OCTETS = 64 * 1024 * 1024
"""Replies that wait for their later blocks to be fetched."""
BLOCKWISE_SECONDS = 93.0
"""MAX_TRANSMIT_WAIT (RFC 7252 section 4.8.2): how long a block-wise transfer may pause."""
MAX_RECENT_MESSAGES = 16_384
"""Message IDs kept for duplicate detection; RFC 7252 section 4.5 sets no number, only a time."""
BUSY_RETRY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds CoAP-EAP conversations."""

    conversations: int = 4096
    per_source: int = 1024
    """Of one IP address; many devices may sit behind one."""
    unverified: int = 512
    """Waiting for the first answer, so that the sender address may be forged. The oldest makes room."""
    first_answer_seconds: float = 25.0
    """Three transmissions of the first message and the wait after the last (RFC 7252 section 4.2)."""
    deadline_seconds: float = 180.0
    """For one conversation from trigger to end."""
