# SPDX-License-Identifier: GPL-3.0-or-later
"""Generator of the s390x guest kernel: a raw image of the first bytes of memory, with the low core in its first 512.

QEMU's ``-kernel`` takes a file that is neither ELF nor Linux ("S390EP" at 0x10008) for such an image: it copies the file
to address 0 and enters it in z/Architecture mode, 64-bit addressing, interrupts off, at the address in bytes 4 to 7, the
second half of the IPL PSW. 0x800 and 0x10000 would be taken for Linux. The firmware, s390-ccw.img, is loaded but not
run; it lies in the last 2 MiB of RAM (QEMU 7.2) or the last 3 (10.0). The code needs no base register: everything in the
image has an address that fits a displacement. No instruction is newer than z/Architecture itself (z900).

There are no interrupt handlers that return. An interruption loads a new PSW from the low core: that of the clock
comparator, the only one that is enabled, leads to the tick. The others lead nowhere: they are disabled waits,
which nothing but a reset ends. QEMU reports a disabled wait as a panic of the guest, with the PSW's address, which is
here the place in the low core that the PSW came from: 0x1d0 after a program check, 0x1a0 after a restart (QEMU's ``nmi``).

The clock comparator is set to one period from now, not from when it was due, so that a clock that jumped never looks like
ticks. The CPU timer would save reading the clock, but QEMU's TCG arms it no more after a migration. Data are big endian
except where the lab reads them: the counter and the pattern are stored reversed.

Seen to run with QEMU 5.2, 7.2 and 10.0. Sources: QEMU hw/s390x/ipl.c, s390_ipl_realize() (the loader),
target/s390x/helper.c (disabled wait) and target/s390x/tcg/misc_helper.c (clock comparator, CPU timer); IBM z/Architecture
Principles of Operation SA22-7832 chapters 3 (low core), 4 (PSW, control registers, clock comparator), 7 and 10
(instructions).
"""

from __future__ import annotations

import struct

from .pattern import FIRST_WORD, STEP, WORDS_A_ROUND

RAM_BASE = 0
CPU = ""
LOAD_ADDRESS = 0

# Where the low core has the new PSW of each class of interruption.
RESTART_NEW_PSW = 0x1A0
EXTERNAL_NEW_PSW = 0x1B0
SUPERVISOR_CALL_NEW_PSW = 0x1C0
PROGRAM_NEW_PSW = 0x1D0
MACHINE_CHECK_NEW_PSW = 0x1E0
INPUT_OUTPUT_NEW_PSW = 0x1F0
LOW_CORE_SIZE = 0x200

PSW_EXTERNAL = 1 << 56  # bit 7: external interruptions are enabled
PSW_WAIT = 1 << 49  # bit 14
PSW_64 = 1 << 32 | 1 << 31  # bits 31 and 32: extended and basic addressing
_SHORT_PSW_64 = 0x00080001, 1 << 31  # the same in the halves of a short PSW; its bit 12 is one

CLOCK_COMPARATOR_SUBCLASS = 0x800  # bit 52 of control register 0
CLOCK_HZ = 4096 * 1000 * 1000  # bit 51 of the TOD clock is a microsecond


def psw(mask: int, address: int) -> bytes:
    """A program status word."""
    return struct.pack(">QQ", mask, address)


def _rxy(opcode: int, register: int, base: int, displacement: int) -> bytes:
    """An instruction of format RXY, without index register, its displacement below 4096."""
    return struct.pack(">BBHBB", 0xE3, register << 4, base << 12 | displacement, 0, opcode)


def lg(register: int, base: int, displacement: int) -> bytes:
    """lg %r<register>, displacement(%r<base>); base 0 is no register but the address 0"""
    return _rxy(0x04, register, base, displacement)


def ag(register: int, base: int, displacement: int) -> bytes:
    """ag %r<register>, displacement(%r<base>)"""
    return _rxy(0x08, register, base, displacement)


def stg(register: int, base: int, displacement: int) -> bytes:
    """stg %r<register>, displacement(%r<base>)"""
    return _rxy(0x24, register, base, displacement)


def lrvg(register: int, base: int, displacement: int) -> bytes:
    """lrvg %r<register>, displacement(%r<base>): load eight bytes that are little endian"""
    return _rxy(0x0F, register, base, displacement)


def strvg(register: int, base: int, displacement: int) -> bytes:
    """strvg %r<register>, displacement(%r<base>): store eight bytes, little endian"""
    return _rxy(0x2F, register, base, displacement)


def strv(register: int, base: int, displacement: int) -> bytes:
    """strv %r<register>, displacement(%r<base>): store four bytes, little endian"""
    return _rxy(0x3E, register, base, displacement)


def la(register: int, base: int, displacement: int) -> bytes:
    """la %r<register>, displacement(%r<base>)"""
    return struct.pack(">BBH", 0x41, register << 4, base << 12 | displacement)


def alr(register: int, other: int) -> bytes:
    """alr %r<register>, %r<other>: 32-bit addition that no overflow interrupts"""
    return struct.pack(">BB", 0x1E, register << 4 | other)


def lghi(register: int, value: int) -> bytes:
    """lghi %r<register>, value"""
    return struct.pack(">BBh", 0xA7, register << 4 | 0x9, value)


def aghi(register: int, value: int) -> bytes:
    """aghi %r<register>, value"""
    return struct.pack(">BBh", 0xA7, register << 4 | 0xB, value)


def brctg(register: int, distance: int) -> bytes:
    """brctg %r<register>: subtract one and, unless that gives zero, branch to ``distance`` bytes after this instruction"""
    return struct.pack(">BBh", 0xA7, register << 4 | 0x7, distance // 2)


def lctlg(control_register: int, displacement: int) -> bytes:
    """lctlg %c<control_register>, %c<control_register>, displacement"""
    return struct.pack(">BBHBB", 0xEB, control_register << 4 | control_register, displacement, 0, 0x2F)


def stck(displacement: int) -> bytes:
    """stck displacement: store the clock"""
    return struct.pack(">HH", 0xB205, displacement)


def sckc(displacement: int) -> bytes:
    """sckc displacement: set the clock comparator"""
    return struct.pack(">HH", 0xB206, displacement)


def lpswe(displacement: int) -> bytes:
    """lpswe displacement"""
    return struct.pack(">HH", 0xB2B2, displacement)


def image(
    magic: bytes, magic_address: int, counter_address: int, tick_hz: int, pattern_address: int, pattern_size: int
) -> bytes:
    """Generate the image.

    Args:
        magic: 8 bytes that the guest writes at ``magic_address`` when its pattern is complete and its counter valid.
        magic_address: guest-physical address of the magic.
        counter_address: guest-physical address of the 64-bit counter, less than 4 KiB after the magic.
        tick_hz: ticks a second.
        pattern_address: guest-physical address of the pattern.
        pattern_size: bytes of the pattern, a multiple of ``4 * WORDS_A_ROUND``.
    """
    status, scratch, address, word, step, rounds = range(1, 7)  # register numbers
    counter_offset = counter_address - magic_address
    body = bytearray()

    def here() -> int:
        """The guest-physical address of what is placed next."""
        return LOAD_ADDRESS + LOW_CORE_SIZE + len(body)

    def place(part: bytes) -> int:
        """Append ``part`` to the image and return its guest-physical address."""
        begin = here()
        body.extend(part)
        return begin

    def number(value: int) -> int:
        """Place a 64-bit number and return its guest-physical address."""
        return place(struct.pack(">Q", value))

    # Data, each at a multiple of 8 as the instructions want it.
    idle = place(psw(PSW_EXTERNAL | PSW_WAIT | PSW_64, 0))  # no address: what ends the wait brings its own PSW
    control = number(CLOCK_COMPARATOR_SUBCLASS)
    period = number(CLOCK_HZ // tick_hz)
    clock = number(0)
    magic_copy = place(magic)
    where_status, where_pattern = number(magic_address), number(pattern_address)
    first_word, step_word = number(FIRST_WORD), number(STEP)
    round_count = number(pattern_size // (4 * WORDS_A_ROUND))

    entry = place(lctlg(0, control))

    place(lg(address, 0, where_pattern) + lg(word, 0, first_word) + lg(step, 0, step_word) + lg(rounds, 0, round_count))
    fill = here()
    for position in range(WORDS_A_ROUND):
        place(strv(word, address, 4 * position) + alr(word, step))
    place(la(address, address, 4 * WORDS_A_ROUND))
    place(brctg(rounds, fill - here()))

    place(lg(status, 0, where_status) + lghi(scratch, 0) + stg(scratch, status, counter_offset))
    place(lg(scratch, 0, magic_copy) + stg(scratch, status, 0))

    # Set the clock comparator to one period from now, and sleep.
    sleep = stck(clock) + lg(scratch, 0, clock) + ag(scratch, 0, period) + stg(scratch, 0, clock) + sckc(clock)
    sleep += lpswe(idle)
    place(sleep)

    # Count, for ever. The counter lives in memory only, not in a register, so that memory that did not arrive shows.
    tick = place(lrvg(scratch, status, counter_offset) + aghi(scratch, 1) + strvg(scratch, status, counter_offset))
    place(sleep)

    low_core = bytearray(LOW_CORE_SIZE)
    ipl_mask, ipl_address_mode = _SHORT_PSW_64
    struct.pack_into(">II", low_core, 0, ipl_mask, ipl_address_mode | entry)
    stops = RESTART_NEW_PSW, SUPERVISOR_CALL_NEW_PSW, PROGRAM_NEW_PSW, MACHINE_CHECK_NEW_PSW, INPUT_OUTPUT_NEW_PSW
    for place_of_psw in stops:
        low_core[place_of_psw:place_of_psw + 16] = psw(PSW_WAIT | PSW_64, place_of_psw)
    low_core[EXTERNAL_NEW_PSW:EXTERNAL_NEW_PSW + 16] = psw(PSW_64, tick)
    return bytes(low_core + body)
