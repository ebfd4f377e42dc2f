"""Block-wise transfers (RFC 7959) by aiocoap, with bounds on what half a transfer may occupy."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable

from aiocoap import Message
from aiocoap import error as coap_error
from aiocoap.blockwise import Block1Spool, Block2Cache, IncompleteException, _extract_block_key

from bootstrap.doors.coap.limits import (
    BLOCKWISE_SECONDS,
    MAX_DOWNLOAD_OCTETS,
    MAX_DOWNLOADS,
    MAX_PROVISION_REQUEST,
    MAX_UPLOADS,
)


class Shelf:
    """Messages by key, for a while; the oldest makes room."""

    def __init__(self, max_entries: int, max_octets: int) -> None:
        self._max_entries = max_entries
        self._max_octets = max_octets
        self._entries: OrderedDict[Hashable, tuple[float, Message]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, key: Hashable) -> Message:
        _, message = self._entries[key]
        self._place(key, message)
        return message

    def __setitem__(self, key: Hashable, message: Message) -> None:
        self._place(key, message)
        octets = sum(len(kept.payload) for _, kept in self._entries.values())
        while len(self._entries) > self._max_entries or octets > self._max_octets:
            _, (_, oldest) = self._entries.popitem(last=False)
            octets -= len(oldest.payload)

    def discard(self, key: Hashable) -> None:
        self._entries.pop(key, None)

    def _place(self, key: Hashable, message: Message) -> None:
        now = asyncio.get_running_loop().time()
        self._entries[key] = (now + BLOCKWISE_SECONDS, message)
        self._entries.move_to_end(key)
        while next(iter(self._entries.values()))[0] <= now:
            self._entries.popitem(last=False)


class BoundedUploads(Block1Spool):  # type: ignore[misc]
    """Requests in pieces: too long is 4.13, a gap is 4.08."""

    def __init__(self) -> None:
        self._assemblies = Shelf(MAX_UPLOADS, MAX_UPLOADS * MAX_PROVISION_REQUEST)

    def feed_and_take(self, req: Message) -> Message:
        block1 = req.opt.block1
        start = block1.start if block1 is not None else 0
        if max(start + len(req.payload), req.opt.size1 or 0) > MAX_PROVISION_REQUEST:
            self._assemblies.discard(_extract_block_key(req))
            raise coap_error.RequestEntityTooLarge
        try:
            whole: Message = super().feed_and_take(req)
        except ValueError:
            raise IncompleteException from None
        if block1 is not None:
            self._assemblies.discard(_extract_block_key(req))
        return whole


class BoundedDownloads(Block2Cache):  # type: ignore[misc]
    """Replies in pieces."""

    def __init__(self) -> None:
        self._completes = Shelf(MAX_DOWNLOADS, MAX_DOWNLOAD_OCTETS)
