# SPDX-License-Identifier: GPL-3.0-or-later
"""The s390x guest: what QEMU reads of its image, and what it does, run on a processor small enough to be read.

The encoders' own output was checked with objdump: the bytes in KNOWN, with the comments beside them, are its reading.
What every guest must do is tested in test_kernel.py.
"""

from __future__ import annotations

import struct

import pytest

from migration_lab.guest import kernel as guest
from migration_lab.guest import s390x
from s390x_processor import EXTERNAL_ENABLED, WAIT, S390xProcessor

SMALL = 1024  # bytes of pattern
PERIOD = 40_960_000  # 10 ms in units of the TOD clock, 4096 of which are a microsecond

# New PSWs in the low core, by class of interruption, and where the old one is stored.
RESTART, SUPERVISOR_CALL, PROGRAM, MACHINE_CHECK, INPUT_OUTPUT = OTHERS = (
    (0x120, 0x1A0), (0x140, 0x1C0), (0x150, 0x1D0), (0x160, 0x1E0), (0x170, 0x1F0)
)


def image() -> bytes:
    built = guest.build("s390x")
    return s390x.image(
        guest.MAGIC, built.magic_address, built.counter_address, guest.TICK_HZ, built.pattern_address, SMALL
    )


def started() -> S390xProcessor:
    machine = S390xProcessor(image())
    machine.run()
    return machine


def counter(machine: S390xProcessor) -> int:
    return machine.memory.read(guest.build("s390x").counter_address, 8)


# --- image


def test_qemu_enters_the_image_where_its_ipl_psw_says() -> None:
    built = guest.build("s390x")
    mask, address = struct.unpack_from(">II", built.image)
    assert mask == 0x00080001, "a short PSW, interruptions off; with the next bit, 64-bit addressing"
    assert address & 0x80000000
    entry = address & 0x7FFFFFFF
    assert 0x200 <= entry < len(built.image) and entry % 2 == 0
    assert entry not in (0x800, 0x10000), "QEMU would take it for Linux"
    assert built.load_address == built.ram_base == 0


def test_qemu_does_not_take_the_image_for_elf_or_linux() -> None:
    built = guest.build("s390x").image
    assert built[:4] != b"\x7fELF"
    assert len(built) < 0x10008, "where Linux has 'S390EP'"


def test_the_low_core_leaves_room_for_what_the_processor_stores_there() -> None:
    assert not any(guest.build("s390x").image[8:0x1A0])


# --- at work


def test_it_enables_the_clock_comparator_and_nothing_else() -> None:
    machine = started()
    assert machine.control == 0x800
    assert machine.mask & EXTERNAL_ENABLED and machine.mask & WAIT


def test_it_shows_magic_and_zero_before_the_first_tick() -> None:
    built = guest.build("s390x")
    machine = S390xProcessor(image())
    machine.memory.put(built.counter_address, b"\xff" * 8)  # what a reset may leave behind
    machine.run()
    assert machine.memory.raw(built.magic_address, 16) == guest.MAGIC + bytes(8)


def test_it_counts_when_the_clock_comparator_is_passed_and_sleeps_again() -> None:
    machine = started()
    for expected in range(1, 6):
        machine.clock_advances(PERIOD)
        assert counter(machine) == expected - 1, "not before the clock has passed the comparator"
        machine.clock_advances(1)
        assert counter(machine) == expected
        assert machine.mask & EXTERNAL_ENABLED and machine.mask & WAIT


def test_a_clock_that_jumps_is_one_tick() -> None:
    machine = started()
    machine.clock_advances(1000 * PERIOD)
    assert counter(machine) == 1
    assert machine.comparator == machine.clock + PERIOD
    machine.clock_advances(PERIOD)
    assert counter(machine) == 1


@pytest.mark.parametrize("hertz", [50, 100, 1000])
def test_it_ticks_as_often_as_asked_for(hertz: int) -> None:
    built = guest.build("s390x")
    generated = s390x.image(guest.MAGIC, built.magic_address, built.counter_address, hertz, built.pattern_address, SMALL)
    machine = S390xProcessor(generated)
    machine.run()
    assert machine.comparator == machine.clock + 4_096_000_000 // hertz


def test_the_counter_lives_in_memory_little_endian_and_is_64_bits_wide() -> None:
    machine = started()
    address = guest.build("s390x").counter_address
    machine.memory.put(address, bytes.fromhex("ffffffff01000000"))
    machine.clock_advances(PERIOD + 1)
    assert machine.memory.raw(address, 8) == bytes.fromhex("0000000002000000")


@pytest.mark.parametrize(("old", "new"), OTHERS)
def test_it_stops_for_good_on_any_other_interruption(old: int, new: int) -> None:
    machine = started()
    machine.clock_advances(PERIOD + 1)
    machine.interrupt(old, new)
    assert machine.mask & WAIT and not machine.mask & EXTERNAL_ENABLED, "a disabled wait"
    assert machine.address == new, "what QEMU reports tells the class"
    machine.clock_advances(10 * PERIOD)
    assert counter(machine) == 1


def test_it_stops_for_good_on_an_exception_while_it_starts() -> None:
    machine = S390xProcessor(image())
    for _ in range(10):
        machine.step()
    machine.interrupt(*PROGRAM)
    machine.clock_advances(10 * PERIOD)
    assert machine.memory.read(guest.build("s390x").magic_address, 8) == 0
    assert counter(machine) == 0


def test_it_writes_only_its_pattern_its_two_status_fields_and_a_clock_in_its_image() -> None:
    built = guest.build("s390x")
    machine = started()
    machine.clock_advances(PERIOD + 1)
    fields = set(range(built.magic_address, built.magic_address + 16))
    filled = set(range(built.pattern_address, built.pattern_address + SMALL))
    others = machine.memory.written - fields - filled
    assert machine.memory.written >= fields | filled
    assert len(others) == 8 and others <= set(range(0x200, len(built.image)))
    assert not any(built.image[address] for address in others), "free for it"


# --- encoders: what objdump (binutils 2.40, -m s390:64-bit) says about these bytes

KNOWN = [
    (s390x.lg(3, 0, 0x238), "e3 30 02 38 00 04"),  # lg %r3,568
    (s390x.ag(2, 0, 0x218), "e3 20 02 18 00 08"),  # ag %r2,536
    (s390x.stg(2, 1, 8), "e3 20 10 08 00 24"),  # stg %r2,8(%r1)
    (s390x.lrvg(2, 1, 8), "e3 20 10 08 00 0f"),  # lrvg %r2,8(%r1)
    (s390x.strvg(2, 1, 8), "e3 20 10 08 00 2f"),  # strvg %r2,8(%r1)
    (s390x.strv(4, 3, 0x1C), "e3 40 30 1c 00 3e"),  # strv %r4,28(%r3)
    (s390x.la(3, 3, 0x20), "41 30 30 20"),  # la %r3,32(%r3)
    (s390x.alr(4, 5), "1e 45"),  # alr %r4,%r5
    (s390x.lghi(2, 0), "a7 29 00 00"),  # lghi %r2,0
    (s390x.aghi(2, 1), "a7 2b 00 01"),  # aghi %r2,1
    (s390x.brctg(6, 0x276 - 0x2BA), "a7 67 ff de"),  # at 0x2ba: brctg %r6,0x276
    (s390x.lctlg(0, 0x210), "eb 00 02 10 00 2f"),  # lctlg %c0,%c0,528
    (s390x.stck(0x220), "b2 05 02 20"),  # stck 544
    (s390x.sckc(0x220), "b2 06 02 20"),  # sckc 544
    (s390x.lpswe(0x200), "b2 b2 02 00"),  # lpswe 512
]


@pytest.mark.parametrize(("encoded", "known"), KNOWN, ids=[known for _, known in KNOWN])
def test_encoder(encoded: bytes, known: str) -> None:
    assert encoded.hex(" ") == known
