"""Vouchers out of any file people have, and files made to hurt: refused by stated limits, cheaply."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache

import pytest
from fdo_vouchers import made
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.protocols.fdo.constants import KeyEncoding
from bootstrap.protocols.fdo.voucher import Voucher, VoucherMalformed, pem
from bootstrap.protocols.fdo.voucher.limits import DEFAULT_LIMITS, Limits

FEW = replace(DEFAULT_LIMITS, vouchers=10, total_length=1 << 20)


@lru_cache
def vouchers() -> tuple[bytes, ...]:
    return tuple(made(n, encoding=KeyEncoding.X509, guid=bytes([n]) * 16).encode() for n in range(4))


def armored(*octets: bytes) -> bytes:
    return "".join(pem.dump_pem(one) for one in octets or vouchers()).encode()


def tarred(files: dict[str, bytes], mode: str = "w:gz", form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def named() -> dict[str, bytes]:
    return {f"shift/{number}.pem": armored(one) for number, one in enumerate(vouchers())}


def octets_in(content: bytes, limits: Limits = DEFAULT_LIMITS) -> list[bytes]:
    found = [one for _, one in pem.iterate(content, limits)]
    assert all(isinstance(one, bytes) for one in found), found
    return [one for one in found if isinstance(one, bytes)]


def codes_in(content: bytes, limits: Limits = DEFAULT_LIMITS, *, notes: bool = False) -> list[str]:
    found = pem.iterate(content, limits, notes=notes)
    return ["ok" if isinstance(one, bytes) else one.code for _, one in found]


def refused(content: bytes, limits: Limits = DEFAULT_LIMITS) -> str:
    """The code with which the whole file is refused."""
    with pytest.raises(VoucherMalformed) as caught:
        for _ in pem.iterate(content, limits):
            pass
    return caught.value.code


@contextmanager
def cheaply(seconds: float = 5.0, megabytes: float = 8.0) -> Iterator[None]:
    """Within this time of our own and this much new memory."""
    tracemalloc.start()
    began = time.process_time()
    try:
        yield
        spent, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert spent < seconds
    assert peak < megabytes * 2**20


# Every form


FORMS: dict[str, Callable[[], bytes]] = {
    "pem": armored,
    "pem with windows line ends": lambda: armored().replace(b"\n", b"\r\n"),
    "pem with text around": lambda: (
        b"\xef\xbb\xbf" + armored(*vouchers()[:1]) + b"Batch 12\n" + armored(*vouchers()[1:])
    ),
    "pem in one line": lambda: b"".join(one_line(one) for one in vouchers()),
    "pem indented": lambda: b"  " + armored().replace(b"\n", b"\n  "),
    "cbor sequence": lambda: b"".join(vouchers()),
    "pem.gz": lambda: gzip.compress(armored()),
    "pem.gz in two pieces": lambda: (
        gzip.compress(armored(*vouchers()[:2])) + gzip.compress(armored(*vouchers()[2:]))
    ),
    "pem.gz with zeros behind": lambda: gzip.compress(armored()) + bytes(700),
    "cbor.gz": lambda: gzip.compress(b"".join(vouchers())),
    "zip": lambda: zipped(named()),
    "zip stored": lambda: zipped(named(), zipfile.ZIP_STORED),
    "zip with one bundle": lambda: zipped({"all.pem": armored()}),
    "zip of cbor": lambda: zipped({f"{n}.cbor": one for n, one in enumerate(vouchers())}),
    "zip with comment": lambda: commented(zipped(named())),
    "tar.gz": lambda: tarred(named()),
    "tar.gz, gnu": lambda: tarred(named(), form=tarfile.GNU_FORMAT),
    "tar.gz, ustar": lambda: tarred(named(), form=tarfile.USTAR_FORMAT),
    "tar": lambda: tarred(named(), "w"),
    "tar of cbor": lambda: tarred({f"{n}.ov": one for n, one in enumerate(vouchers())}, "w"),
}


def one_line(octets: bytes) -> bytes:
    first, *body, last, _ = pem.dump_pem(octets).encode().split(b"\n")
    return b"\n".join([first, b"".join(body), last, b""])


def commented(content: bytes) -> bytes:
    out = io.BytesIO(content)
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = b"PK\x05 from the factory" * 50
    return out.getvalue()


@pytest.mark.parametrize("form", FORMS)
def test_every_voucher_comes_out_of_every_form_octet_for_octet(form: str) -> None:
    assert octets_in(FORMS[form]()) == list(vouchers())


@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_read_from_the_disk_as_from_memory(form: str) -> None:
    file = io.BytesIO(FORMS[form]())
    file.seek(5)
    assert [one for _, one in pem.iterate(file)] == list(vouchers())


def test_names_say_where_a_voucher_was() -> None:
    bundle = zipped({"a/b.pem": armored(*vouchers()[:2]), "c.cbor": vouchers()[2]})
    assert [name for name, _ in pem.iterate(bundle)] == ["a/b.pem", "a/b.pem#2", "c.cbor"]
    assert [name for name, _ in pem.iterate(armored())] == ["#1", "#2", "#3", "#4"]


def test_long_and_strange_names_are_for_people_only() -> None:
    strange = "../" * 90 + "x\n\x1b[31m.pem"
    for content in (
        tarred({strange: armored()}, form=tarfile.GNU_FORMAT),
        zipped({strange: armored()}),
    ):
        name = next(iter(pem.iterate(content)))[0]
        assert name.isprintable()
        assert len(name) <= 200


def test_dumped_text_is_as_others_write_it() -> None:
    voucher = made(1)
    text = pem.dump_pem(voucher)
    assert text.startswith("-----BEGIN OWNERSHIP VOUCHER-----\n")
    assert text.endswith("\n-----END OWNERSHIP VOUCHER-----\n")
    assert max(map(len, text.splitlines())) == 64
    assert Voucher.decode(octets_in(text.encode())[0]) == voucher


def test_other_blocks_are_passed_over_with_a_note_for_who_asks() -> None:
    key = b"-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n"
    bundle = armored(vouchers()[0]) + key
    assert codes_in(bundle) == ["ok"]
    assert codes_in(bundle, notes=True) == ["ok", "VCH-158"]
    assert all("MHcC" not in str(one) for _, one in pem.iterate(key, notes=True))


def test_damaged_blocks_do_not_hide_the_next_one() -> None:
    good = armored(vouchers()[0])
    begin, end = b"-----BEGIN OWNERSHIP VOUCHER-----\n", b"-----END OWNERSHIP VOUCHER-----\n"
    assert codes_in(begin + b"!!!!\n" + end + good) == ["VCH-159", "ok"]
    assert codes_in(begin + b"AAAA\n" + good) == ["VCH-159", "ok"]
    assert codes_in(begin + b"AAAA\n-----END OTHER-----\n" + good) == ["VCH-159", "ok"]
    assert codes_in(good + begin + b"AAAA\n") == ["ok", "VCH-159"]
    assert codes_in(begin + b"A" * 200_000 + b"\n" + end + good) == ["VCH-157", "ok"]
    assert codes_in(begin + b"A" * 64 * 2000 + b"\n" + end + good) == ["VCH-157", "ok"]


def test_a_file_without_a_voucher_says_so() -> None:
    assert codes_in(b"") == ["VCH-160"]
    assert codes_in(b"hello\n") == ["VCH-160"]
    assert codes_in(b"\x00" * 1000) == ["VCH-160"]
    assert codes_in(zipped({"README.txt": b"hello", "v.pem": armored(vouchers()[0])})) == ["VCH-160", "ok"]
    assert codes_in(gzip.compress(b"")) == ["VCH-160"]


def test_what_follows_a_sound_voucher_is_told() -> None:
    assert codes_in(vouchers()[0] + b"\x00") == ["ok", "VCH-101"]
    assert codes_in(vouchers()[0] + vouchers()[1][:-1]) == ["ok", "VCH-101"]
    assert codes_in(b"\x9f\x01\xff") == ["VCH-101"]


def test_what_file_managers_leave_behind_is_not_counted() -> None:
    files = {
        "__MACOSX/._1.pem": b"x",
        "a/.DS_Store": b"x",
        "a/._b.pem": b"x",
        "a/": b"",
        "a/1.pem": armored(vouchers()[0]),
    }
    assert codes_in(zipped(files)) == ["ok"]
    assert codes_in(tarred({name: body for name, body in files.items() if name != "a/"})) == ["ok"]


def test_links_and_devices_are_passed_over() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo("link.pem")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    assert codes_in(out.getvalue()) == []
    assert codes_in(out.getvalue(), notes=True) == ["VCH-161"] * 4
    link = zipfile.ZipInfo("link.pem")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr(link, "/etc/passwd")
    assert codes_in(out.getvalue(), notes=True) == ["VCH-161"]


# Made to hurt


NESTED: dict[str, Callable[[], bytes]] = {
    "zip": lambda: zipped(named()),
    "tar": lambda: tarred(named(), "w"),
    "tar.gz": lambda: tarred(named()),
    "gzip": lambda: gzip.compress(armored()),
    "7z": lambda: b"7z\xbc\xaf\x27\x1c" + bytes(600),
}


@pytest.mark.parametrize("outer", ["zip", "tar", "gzip"])
@pytest.mark.parametrize("inner", NESTED)
def test_an_archive_in_an_archive_is_not_opened(outer: str, inner: str) -> None:
    content = NESTED[inner]()
    if outer == "gzip":
        if inner == "tar":
            return  # that is a tar.gz
        assert codes_in(gzip.compress(content)) == ["VCH-154"]
        return
    files = {"inner": content, "good.pem": armored(vouchers()[0])}
    assert codes_in(zipped(files) if outer == "zip" else tarred(files)) == ["VCH-154", "ok"]


@pytest.mark.thorough
def test_a_zip_bomb_is_refused_before_it_goes_off() -> None:
    bomb = zipped({f"{n}.pem": bytes(1 << 26) for n in range(4)})
    assert len(bomb) < 300_000
    with cheaply():
        assert refused(bomb) == "VCH-153"
        assert refused(bomb, replace(DEFAULT_LIMITS, total_length=1 << 27)) == "VCH-152"


@pytest.mark.thorough
def test_a_gzip_bomb_is_refused_before_it_goes_off() -> None:
    pump, content = zlib.compressobj(9, wbits=31), b""
    for _ in range(64):
        content += pump.compress(bytes(1 << 22))
    content += pump.flush()
    with cheaply():
        assert refused(content) == "VCH-153"


@pytest.mark.thorough
def test_a_tar_bomb_is_refused_before_it_goes_off() -> None:
    bomb = tarred({"a.pem": bytes(1 << 27)})
    with cheaply():
        assert refused(bomb) == "VCH-153"


@pytest.mark.thorough
def test_members_of_a_zip_that_share_their_octets_spend_the_budget_each() -> None:
    """A bomb without much compression: many records point to one member."""
    one = zipped({"a.pem": b"x" * 60_000 + bytes(range(256)) * 40}, zipfile.ZIP_STORED)
    at = one.index(b"PK\x01\x02")
    end = one.index(b"PK\x05\x06")
    record, count = one[at:end], 5000
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(record) * count, at, 0)
    content = one[:at] + record * count + tail
    with cheaply(seconds=10):
        assert refused(content) in ("VCH-152", "VCH-153")


def test_a_directory_of_a_million_is_refused_by_its_count_alone() -> None:
    tail = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, 46 * 10**6, 4)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 4, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)

    content = b"PK\x03\x04" + tail + locator + end
    assert refused(content) == "VCH-156"  # the directory is outside of this file
    sparse = (
        b"PK\x03\x04"
        + struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, 8, 4)
        + locator
        + end
    )
    with cheaply():
        assert refused(sparse) == "VCH-151"


def test_a_directory_that_is_longer_than_it_says_is_refused() -> None:
    content = zipped({f"{n}.pem": b"" for n in range(300)})
    at = content.index(b"PK\x05\x06")
    few = content[: at + 8] + struct.pack("<2H", 3, 3) + content[at + 12 :]
    assert refused(few) == "VCH-156"
    assert refused(zipped({f"{n}.pem": b"" for n in range(11)}), FEW) == "VCH-151"


@pytest.mark.thorough
def test_a_million_members_of_a_tar_are_refused() -> None:
    """Header after header with nothing in them: too tight a packing, or too many."""
    header = tarfile.TarInfo("a.pem").tobuf()
    pump = zlib.compressobj(9, wbits=31)
    content = b"".join(pump.compress(header * 1000) for _ in range(1000)) + pump.flush()
    assert refused(content) in ("VCH-151", "VCH-153")
    with cheaply():
        assert refused(content, replace(DEFAULT_LIMITS, vouchers=1000)) == "VCH-151"
        assert refused(content, replace(DEFAULT_LIMITS, ratio=10)) == "VCH-153"


def test_too_many_vouchers_are_refused_in_every_form() -> None:
    one = vouchers()[0]
    assert refused(armored(one) * 11, FEW) == "VCH-151"
    assert refused(one * 11, FEW) == "VCH-151"
    assert refused(zipped({"all.pem": armored(one) * 11}), FEW) == "VCH-151"
    assert refused(tarred({"all.pem": armored(one) * 11}), FEW) == "VCH-151"
    assert len(octets_in(armored(one) * 10, FEW)) == 10


@pytest.mark.thorough
def test_a_million_tiny_items_are_refused() -> None:
    assert refused(b"\x80" * 10**6) == "VCH-151"
    with cheaply():
        assert refused(b"\x80" * 10**6, FEW) == "VCH-151"


@pytest.mark.parametrize("head", [b"\x9b" + b"\xff" * 8, b"\x85\x5b" + b"\xff" * 8, b"\x81" * 100 + b"\x00"])
def test_a_cbor_header_of_gigabytes_is_refused_at_once(head: bytes) -> None:
    with cheaply():
        assert codes_in(head) == ["VCH-101"]
        assert codes_in(head + bytes(200_000))[0] in ("VCH-101", "VCH-157")


def test_a_file_far_longer_than_a_voucher_is_not_read_whole() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            self.taken += len(found)
            return found

    file = Counting(b"\x82\x5a\x7f\xff\xff\xff" + bytes(50_000_000))
    with cheaply():
        assert [one.code for _, one in pem.iterate(file) if isinstance(one, VoucherMalformed)] == ["VCH-157"]
    assert file.taken < 300_000


@pytest.mark.parametrize("size", [1 << 32, 1 << 40, 1 << 62])
def test_a_tar_header_of_gigabytes_is_refused_at_once(size: int) -> None:
    member = tarfile.TarInfo("a.pem")
    member.size = size
    for kind in (tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        member.type = kind
        content = gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
        with cheaply():
            assert refused(content) == "VCH-152"


def test_a_zip_record_of_gigabytes_is_refused_at_once() -> None:
    content = bytearray(zipped({"a.pem": armored()}))
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = (0xFFFFFFF0).to_bytes(4, "little")
    with cheaply():
        assert refused(bytes(content)) == "VCH-152"
    content[at + 24 : at + 28] = (5000).to_bytes(4, "little")
    assert codes_in(bytes(content))[-1] == "VCH-156"


def test_gzip_of_endless_empty_pieces_is_refused() -> None:
    content = gzip.compress(armored()) + gzip.compress(b"") * 20_000
    with cheaply():
        assert refused(content) == "VCH-156"


def test_encrypted_and_foreign_archives_are_told_apart_from_damaged_ones() -> None:
    content = bytearray(zipped(named()))
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    assert codes_in(bytes(content)) == ["VCH-155", "ok", "ok", "ok"]
    assert codes_in(zipped(named(), zipfile.ZIP_BZIP2)) == ["VCH-155"] * 4
    for magic in (b"BZh9", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x28\xb5\x2f\xfd"):
        assert refused(magic + bytes(100)) == "VCH-155"


def test_damage_in_one_member_of_a_zip_is_its_own() -> None:
    content = bytearray(zipped(named(), zipfile.ZIP_STORED))
    content[content.index(b"-----BEGIN") + 60] ^= 1
    found = codes_in(bytes(content))
    assert found[-3:] == ["ok", "ok", "ok"]
    assert "VCH-156" in found[:-3]


def test_a_file_cut_short_is_damaged() -> None:
    assert refused(zipped(named())[:-30]) == "VCH-156"
    assert refused(tarred(named())[:2000]) == "VCH-156"
    assert refused(tarred(named(), "w")[:700]) == "VCH-156"
    assert refused(gzip.compress(armored())[:-12]) == "VCH-156"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(FORMS)), st.data())
@pytest.mark.thorough
def test_a_changed_or_cut_file_gives_vouchers_or_codes_and_nothing_else(
    form: str, data: st.DataObject
) -> None:
    content = bytearray(FORMS[form]())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(content)))
    with suppress(VoucherMalformed):
        for name, found in pem.iterate(bytes(content[:cut])):
            assert name.isprintable()
            assert isinstance(found, bytes | VoucherMalformed)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08\x00", b"\x85\x18\x65"]),
    st.binary(max_size=600),
)
def test_any_octets_give_vouchers_or_codes_and_nothing_else(magic: bytes, octets: bytes) -> None:
    with suppress(VoucherMalformed):
        for _, found in pem.iterate(magic + octets):
            assert isinstance(found, bytes | VoucherMalformed)


@pytest.mark.thorough
def test_ten_thousand_vouchers_pass_with_flat_memory() -> None:
    one = made(3).encode()
    content = armored(*[one] * 100) * 100
    began = time.process_time()
    assert sum(isinstance(found, bytes) for _, found in pem.iterate(content)) == 10_000
    assert time.process_time() - began < 5
    bundle = zipped({f"{n}.pem": armored(one) for n in range(1000)}, zipfile.ZIP_STORED)
    for few in (content[: len(content) // 10], bundle):
        with cheaply(seconds=20, megabytes=2):
            assert sum(isinstance(found, bytes) for _, found in pem.iterate(few)) == 1000
