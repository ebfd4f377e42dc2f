"""The owner's service-info machine against the device's, in memory, at every size."""

from __future__ import annotations

from hashlib import sha384

import cbor2
import pytest
from fdo_service_info_pair import DEVMOD, Log, Workbench, run

from bootstrap.errors import MalformedMessage, UnexpectedMessage
from bootstrap.protocols.fdo.service_info import (
    Command,
    Devmod,
    Download,
    OwnerModules,
    Quirks,
    Upload,
    Wget,
    aborted,
    advance,
    service_info_limit,
)
from bootstrap.protocols.fdo.service_info.constants import (
    LIMIT_MAX,
    OUTPUT_LENGTH_MAX,
    ROUNDS_MAX,
    UPLOAD_LENGTH_MAX,
)
from bootstrap.protocols.fdo.service_info.device import DeviceModules, ModuleFailed, Ran, Traits
from bootstrap.wire.frozen import freeze

SIZES = (256, 1300, 64_000)


def octets(length: int) -> bytes:
    return (sha384(str(length).encode()).digest() * (length // 48 + 1))[:length]


def echo(args: tuple[str, ...]) -> Ran:
    return Ran(0, stdout=" ".join(args).encode() + b"\n", stderr=b"careful\n")


@pytest.mark.parametrize("device_limit", SIZES)
@pytest.mark.parametrize("owner_limit", SIZES)
def test_a_whole_plan_is_carried_out_at_every_size(owner_limit: int, device_limit: int) -> None:
    bench = Workbench(
        files={"/var/log/boot": octets(5000), "/etc/empty": b""},
        programs={"echo": echo},
        urls={"http://files.example/fw.bin": b"firmware"},
    )
    plan = (
        Download("conf", "/etc/app.conf", octets(3000)),
        Download("empty", "/etc/none", b""),
        Command("hello", "echo", ("a" * 300, "b" * 300, "ü")),
        Upload("log", "/var/log/boot"),
        Upload("nothing", "/etc/empty", need_sha=False),
        Wget("fw", "http://files.example/fw.bin", "fw.bin", sha384(b"firmware").digest(), 8),
    )
    log = run(plan, bench, owner_limit=owner_limit, device_limit=device_limit)
    assert [r.id for r in log.results] == [a.id for a in plan]
    assert all(r.ok for r in log.results), log.results
    assert bench.files["/etc/app.conf"] == octets(3000)
    assert bench.files["/etc/none"] == b""
    assert bench.files["fw.bin"] == b"firmware"
    assert bench.ran == [("echo", ("a" * 300, "b" * 300, "ü"))]
    results = log.by_id
    assert results["log"].output == octets(5000)
    assert results["nothing"].output == b""
    assert results["hello"].output.startswith(b"aaa")
    assert results["hello"].errors == b"careful\n"
    assert results["hello"].exit_code == 0
    assert log.state.failed == ""


@pytest.mark.parametrize(("limit", "rounds"), [(256, 7000), (1300, 1045), (64_000, 22)])
@pytest.mark.thorough
def test_a_mebibyte_reaches_the_device_in_few_rounds(limit: int, rounds: int) -> None:
    bench = Workbench()
    content = octets(1024 * 1024)
    log = run((Download("fw", "fw.bin", content),), bench, owner_limit=limit)
    assert bench.files["fw.bin"] == content
    assert log.results[0].ok
    assert log.rounds <= rounds
    assert log.state_peak < 2500, "the file must not travel in the session"


def test_an_upload_at_the_limit_is_kept_and_one_beyond_is_counted_and_dropped() -> None:
    bench = Workbench(
        files={"fits": octets(UPLOAD_LENGTH_MAX), "big": octets(UPLOAD_LENGTH_MAX + 1), "last": b"x"}
    )
    log = run(
        (Upload("fits", "fits"), Upload("big", "big", may_fail=True), Upload("last", "last")),
        bench,
        device_limit=64_000,
    )
    assert log.by_id["fits"].output == octets(UPLOAD_LENGTH_MAX)
    assert not log.by_id["big"].ok
    assert "524289 octets are more than the 524288" in log.by_id["big"].detail
    assert log.by_id["last"].output == b"x"
    assert log.state_peak < UPLOAD_LENGTH_MAX + 4096


def test_without_actions_devmod_is_all() -> None:
    log = run((), Workbench())
    assert (log.rounds, log.results, log.to_device) == (1, [], [])
    assert log.state.device().device == "lamp"


def test_the_plan_sees_what_the_device_says_of_itself() -> None:
    bench = Workbench()

    def plan(devmod: Devmod) -> tuple[Download, ...]:
        return (Download("motd", "/etc/motd", f"{devmod.sn} on {devmod.os}".encode()),)

    run(plan, bench)
    assert bench.files["/etc/motd"] == b"S-1 on linux"


def test_a_failed_must_ends_the_plan_and_a_failed_may_does_not() -> None:
    bench = Workbench(programs={"false": lambda args: Ran(3), "true": lambda args: Ran(0)})
    plan = (
        Command("may", "false", may_fail=True),
        Wget("must", "http://nowhere.example/x"),
        Command("after", "true"),
    )
    log = run(plan, bench)
    assert log.by_id["may"].exit_code == 3
    assert not log.by_id["may"].ok
    assert log.by_id["must"].detail == "file: the device could not fetch it: expected status 200, got 404"
    assert log.by_id["after"].detail == "not done, because must failed before it"
    assert log.state.failed == "must"
    assert bench.ran == [("false", ())]


def test_a_command_that_may_not_fail_ends_to2_on_the_device_and_leaves_results() -> None:
    bench = Workbench(programs={"false": lambda args: Ran(1, b"out")})
    plan = (Command("must", "false"), Download("after", "x", b"y"))
    log = Log()
    with pytest.raises(ModuleFailed) as failed:
        run(plan, bench, log=log)
    results = aborted(log.state, plan, str(failed.value))
    assert [r.id for r in results] == ["must", "after"]
    assert results[0].detail == "the device ended the transfer of ownership: command failed with exit code: 1"
    assert results[1].detail == "not reached: the device gave up before"


def test_a_file_that_the_device_cannot_write_is_reported() -> None:
    log = run((Download("fw", "fw.bin", b"abc"),), Workbench(full=True))
    assert log.results[0].detail == "fw.bin: the device could not write it, or its checksum did not match"
    assert log.state.failed == "fw"


def test_a_module_the_device_does_not_list_is_never_sent_to_it() -> None:
    bench = Workbench()
    plan = (Command("run", "echo", may_fail=True), Download("put", "f", b"1"))
    log = run(plan, bench, modules=("fdo.download",))
    assert log.by_id["run"].detail == "the device does not support fdo.command"
    assert log.by_id["put"].ok
    assert not any(key.startswith("fdo.command") for key, _ in log.to_device)


def test_a_device_that_lists_nothing_is_asked_module_by_module() -> None:
    bench = Workbench()
    plan = (
        Command("run", "echo", may_fail=True),
        Download("put", "f", octets(4000)),
        Download("two", "g", b"2"),
    )
    log = run(plan, bench, modules=("fdo.download",), traits=Traits(lists_modules=False))
    assert log.by_id["run"].detail == "the device does not support fdo.command"
    assert log.by_id["put"].ok
    assert log.by_id["two"].ok
    assert bench.files == {"f": octets(4000), "g": b"2"}


def test_a_device_that_lists_nothing_and_answers_nothing_gets_nothing() -> None:
    plan = (Download("put", "f", b"1"),)
    log = run(plan, Workbench(), traits=Traits(lists_modules=False, answers_active=False))
    assert log.results[0].detail == "the device does not answer whether it supports fdo.download"
    assert [key for key, _ in log.to_device] == ["fdo.download:active"]


def test_a_device_that_never_answers_active_is_served_all_the_same() -> None:
    bench = Workbench()
    log = run((Download("put", "f", b"1"),), bench, traits=Traits(answers_active=False))
    assert log.results[0].ok
    assert bench.files == {"f": b"1"}


def test_output_is_kept_up_to_its_limit() -> None:
    bench = Workbench(programs={"yes": lambda args: Ran(0, b"y\n" * 50_000, b"z" * 20_000)})
    log = run((Command("yes", "yes"),), bench)
    result = log.results[0]
    assert len(result.output) == len(result.errors) == OUTPUT_LENGTH_MAX
    assert result.ok


def test_output_that_nobody_asked_for_is_not_sent() -> None:
    bench = Workbench(programs={"echo": echo})
    log = run((Command("e", "echo", ("x",), return_stdout=False, return_stderr=False),), bench)
    assert (log.results[0].output, log.results[0].errors) == (b"", b"")


def test_a_plan_that_changes_under_way_ends_with_a_sentence() -> None:
    state = OwnerModules()
    first = advance(
        state, devmod_kvs(), False, (Download("a", "a", octets(9000)), Download("b", "b", b"")), 1300
    )
    second = advance(first.state, (), False, (Download("c", "c", octets(9000)),), 1300)
    assert [(r.id, r.detail) for r in second.results] == [
        ("c", "the plan was changed while the device was being provisioned")
    ]
    assert second.is_done
    assert second.state.failed == "c"
    third = advance(second.state, (), False, (Download("c", "c", b""),), 1300)
    assert (third.is_done, third.results) == (True, ())


def devmod_kvs(devmod: Devmod = DEVMOD) -> tuple[tuple[str, bytes], ...]:
    said = DeviceModules(devmod, Workbench(), 64_000).first()
    assert not said.is_more
    return said.kvs


def kv(key: str, value: object) -> tuple[str, bytes]:
    return key, cbor2.dumps(value)


def started(*plan: Download | Upload | Command | Wget) -> OwnerModules:
    return advance(OwnerModules(), devmod_kvs(), False, plan, 64_000).state


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        (("done", -1), "f: the device could not write it, or its checksum did not match"),
        (("done", 2), "f: the device stored 2 octets of 3"),
        (("done", "three"), "f: the device stored three octets of 3"),
        (("error", "disk\nfull"), "f: the device could not store it: disk full"),
    ],
)
def test_what_a_device_says_of_a_failed_download_is_told(said: tuple[str, object], detail: str) -> None:
    plan = (Download("d", "f", b"123"),)
    answer = advance(started(*plan), [kv(f"fdo.download:{said[0]}", said[1])], False, plan, 64_000)
    assert [(r.ok, r.detail) for r in answer.results] == [(False, detail)]
    assert answer.is_done


def test_an_early_refusal_stops_the_rest_of_a_file() -> None:
    plan = (Download("d", "f", octets(100_000)),)
    state = advance(OwnerModules(), devmod_kvs(), False, plan, 1300).state
    answer = advance(state, [kv("fdo.download:done", -1)], False, plan, 1300)
    assert not answer.results[0].ok
    assert answer.is_done
    assert answer.kvs == ()


@pytest.mark.parametrize(
    ("kvs", "detail"),
    [
        (
            [("length", 4), ("data", b"1234"), ("sha-384", b"x" * 48)],
            "its checksum does not match what arrived",
        ),
        (
            [("length", 3), ("data", b"1234"), ("sha-384", b"x" * 48)],
            "the device announced 3 octets and sent 4",
        ),
        ([("error", "no such file")], "the device could not read it: no such file"),
    ],
)
def test_an_upload_that_does_not_add_up_is_refused(kvs: list[tuple[str, object]], detail: str) -> None:
    plan = (Upload("u", "f"),)
    answer = advance(started(*plan), [kv(f"fdo.upload:{k}", v) for k, v in kvs], False, plan, 1300)
    assert [r.detail for r in answer.results] == [f"f: {detail}"]
    assert answer.results[0].output == b""


def test_an_upload_without_a_length_ends_with_an_empty_block() -> None:
    plan = (Upload("u", "f", need_sha=False),)
    answer = advance(
        started(*plan), [kv("fdo.upload:data", b"12"), kv("fdo.upload:data", b"")], False, plan, 1300
    )
    assert answer.results[0].output == b"12"


@pytest.mark.parametrize(
    ("kvs", "detail"),
    [
        ([], "f: the device sent nothing; perhaps it has no such file"),
        ([("length", 9), ("data", b"12")], "f: the transfer stopped after 2 octets of 9"),
    ],
)
def test_a_silent_device_is_not_waited_for_without_end(kvs: list[tuple[str, object]], detail: str) -> None:
    plan = (Upload("u", "f"),)
    answer = advance(started(*plan), [kv(f"fdo.upload:{k}", v) for k, v in kvs], False, plan, 1300)
    for _ in range(2000):
        if answer.is_done:
            break
        answer = advance(answer.state, (), False, plan, 1300)
    assert [r.detail for r in answer.results] == [detail]


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        (("done", 7), "fw: the device fetched 7 octets, not 8"),
        (("done", -1), "fw: the device could not fetch it, or its checksum did not match"),
    ],
)
def test_a_wget_of_the_wrong_length_is_refused(said: tuple[str, object], detail: str) -> None:
    plan = (Wget("w", "http://files.example/fw", "fw", length=8),)
    answer = advance(started(*plan), [kv(f"fdo.wget:{said[0]}", said[1])], False, plan, 1300)
    assert [r.detail for r in answer.results] == [detail]


def test_a_wget_with_a_wrong_checksum_is_the_devices_error() -> None:
    bench = Workbench(urls={"http://files.example/fw": b"other"})
    log = run((Wget("w", "http://files.example/fw", sha384=b"0" * 48),), bench)
    assert "checksum" in log.results[0].detail
    assert bench.files == {}


def test_a_long_running_command_is_waited_for() -> None:
    plan = (Command("c", "sleep"),)
    state = started(*plan)
    for _ in range(3000):
        answer = advance(state, (), False, plan, 1300)
        assert (answer.kvs, answer.is_done, answer.results) == ((), False, ())
        state = answer.state
    answer = advance(state, [kv("fdo.command:exitcode", 0)], False, plan, 1300)
    assert answer.results[0].ok


def test_rounds_have_an_end() -> None:
    with pytest.raises(UnexpectedMessage):
        advance(OwnerModules(rounds=ROUNDS_MAX), (), False, (), 1300)


def test_a_device_that_refuses_a_module_late_is_believed() -> None:
    plan = (Download("d", "f", octets(9000), may_fail=True), Wget("w", "http://x.example/"))
    state = advance(OwnerModules(), devmod_kvs(), False, plan, 1300).state
    answer = advance(state, [kv("fdo.download:active", False)], False, plan, 1300)
    assert [r.detail for r in answer.results] == ["the device does not support fdo.download"]
    assert answer.kvs[0][0] == "fdo.wget:active"


def test_late_words_of_an_ended_action_do_not_reach_the_next() -> None:
    plan = (Command("one", "a"), Command("two", "b"))
    said = [kv("fdo.command:exitcode", 0), kv("fdo.command:stdout", b"late"), kv("fdo.command:exitcode", 9)]
    answer = advance(started(*plan), said, False, plan, 1300)
    assert [(r.id, r.ok) for r in answer.results] == [("one", True)]
    assert answer.state.content == b""


def test_words_of_strange_modules_are_passed_over() -> None:
    plan = (Download("d", "f", b"1"),)
    said = [("vendor.x:data", b"\xff\xff"), kv("fdo.upload:data", b"zz"), kv("fdo.download:news", [1])]
    answer = advance(started(*plan), said, False, plan, 1300)
    assert answer.results == ()
    assert not answer.is_done


def test_a_device_that_begins_without_devmod_is_refused() -> None:
    state = OwnerModules()
    for _ in range(2):
        answer = advance(state, (), False, (), 1300)
        assert (answer.kvs, answer.is_done) == ((), False)
        state = answer.state
    with pytest.raises(UnexpectedMessage):
        advance(state, (), False, (), 1300)


def test_a_value_that_breaks_off_is_malformed() -> None:
    plan = (Upload("u", "f"),)
    with pytest.raises(MalformedMessage):
        advance(
            started(*plan), [("fdo.upload:data", b"\x45ab"), kv("fdo.upload:length", 4)], False, plan, 1300
        )


def test_a_value_may_be_cut_over_two_messages() -> None:
    plan = (Upload("u", "f", need_sha=False),)
    first = advance(
        started(*plan), [kv("fdo.upload:length", 5), ("fdo.upload:data", b"\x45ab")], True, plan, 1300
    )
    second = advance(first.state, [("fdo.upload:data", b"cde")], False, plan, 1300)
    assert second.results[0].output == b"abcde"


def test_sizes_are_held_within_bounds() -> None:
    assert [service_info_limit(n) for n in (None, 0, 1, 1300, 65_535)] == [1300, 1300, 256, 1300, LIMIT_MAX]


def test_states_and_results_show_no_contents() -> None:
    state = OwnerModules(
        content=b"hunter2", partial=b"hunter2", errors=b"hunter2", answers=(("k", b"hunter2"),)
    )
    shown = repr(state) + repr(Download("i", "n", b"hunter2")) + repr(Command("i", "c", ("hunter2",)))
    shown += repr(Wget("i", "http://user:hunter2@x.example/"))
    assert "hunter2" not in shown
    assert freeze(state)


def test_arguments_take_the_form_that_the_device_reads() -> None:
    for form, quirks in (("bstr", Quirks()), ("array", Quirks(args_as_array=True))):
        bench = Workbench(programs={"echo": echo})
        log = run((Command("e", "echo", ("x", "y")),), bench, traits=Traits(args=form), quirks=quirks)
        assert bench.ran == [("echo", ("x", "y"))]
        assert log.results[0].output == b"x y\n"


def test_the_c_clients_form_is_guessed_from_its_devmod() -> None:
    bench = Workbench(programs={"echo": echo})
    devmod = Devmod(
        os="Linux", arch="x86", version="1", device="d", sn="7", sn_form="text", sep=":", bin="x86"
    )
    run((Command("e", "echo", ("x",)),), bench, traits=Traits(args="array"), devmod=devmod)
    assert bench.ran == [("echo", ("x",))]


def test_the_wrong_form_makes_a_strict_device_give_up() -> None:
    bench = Workbench(programs={"echo": echo})
    with pytest.raises(ModuleFailed):
        run((Command("e", "echo", ("x",)),), bench, traits=Traits(args="array"))
