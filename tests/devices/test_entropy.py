"""Randomness is never given out twice."""

from __future__ import annotations

import os
import threading

import pytest

from devices.entropy import PAGE_LENGTH, Entropy


def test_no_octets_are_given_twice_over_many_pages() -> None:
    entropy = Entropy()
    taken = [entropy.take(16) for _ in range(3 * PAGE_LENGTH // 16)]
    assert len(set(taken)) == len(taken)


@pytest.mark.parametrize("length", [0, 1, 12, PAGE_LENGTH // 4, PAGE_LENGTH // 4 + 1, PAGE_LENGTH, 100_000])
def test_every_length_is_served(length: int) -> None:
    entropy = Entropy()
    assert [len(entropy.take(length)) for _ in range(5)] == [length] * 5


def test_threads_share_it_without_sharing_octets() -> None:
    entropy, taken = Entropy(), []

    def work() -> None:
        taken.extend([entropy.take(12) for _ in range(2000)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 8000


def test_a_forked_child_does_not_repeat_its_parent() -> None:
    entropy = Entropy()
    entropy.take(12)
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(into, entropy.take(32))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(out, 32) != entropy.take(32)
