# SPDX-License-Identifier: GPL-3.0-or-later
"""Generator of the aarch64 guest kernel: a raw image with the header of a Linux arm64 ``Image``.

QEMU's ``-kernel`` finds the header, loads the file at RAM base + text_offset and enters it at EL1 (machine ``virt``)
with the MMU off. The header asks for the offset that a QEMU too old to read headers uses anyway. The code refers to
itself relative to the program counter, and to devices and the status page by address: any 2 KiB boundary will do.

There are no interrupt handlers: interrupts stay masked (PSTATE.I), and ``wfi`` returns on a pending interrupt whether
masked or not. The virtual timer's interrupt is level-triggered and goes away when the timer is armed again, so it is
never acknowledged. The timer is armed for one period from now, not from when it was due, so that a clock that jumped
never looks like ticks.

Of the exception vectors only one can be reached, that of a synchronous exception (say, no GICv2 where it ought to be).
It halts. The image's start serves as the vector table, so that vector is the image's last part.

Sources: Linux Documentation/arch/arm64/booting.rst (header, state at entry); QEMU hw/arm/boot.c (loader) and
hw/arm/virt.c (addresses, the same since the machine exists); Arm ARM DDI 0487 parts C6 (instructions), D1 (vectors) and
D24 (timer registers); Arm IHI 0048 chapter 4 (GICv2 registers).
"""

from __future__ import annotations

import struct

from .pattern import FIRST_WORD, STEP, WORDS_A_ROUND

RAM_BASE = 0x40000000
CPU = "cortex-a57"  # machine virt's default is a 32-bit one
TEXT_OFFSET = 0x80000
LOAD_ADDRESS = RAM_BASE + TEXT_OFFSET

HEADER_MAGIC = b"ARM\x64"
HEADER_SIZE = 64
SYNCHRONOUS_VECTOR = 0x200  # offset in the vector table: current exception level with its own stack pointer

GIC_DISTRIBUTOR = 0x08000000
GIC_CPU_INTERFACE = 0x08010000
_GICD_CTLR = 0x000
_GICD_ISENABLER0 = 0x100
_GICC_CTLR = 0x000
_GICC_PMR = 0x004

VIRTUAL_TIMER_INTERRUPT = 27  # PPI 11, fixed by the Arm base system architecture and by virt.c
_CNTV_CTL_ENABLE = 1  # and IMASK, bit 1, clear
_CNTV_CTL_ISTATUS_BIT = 2

# System registers as the 15 bits op0<0> op1 CRn CRm op2 of mrs and msr.
VBAR_EL1 = 1 << 14 | 0 << 11 | 12 << 7 | 0 << 3 | 0
CNTFRQ_EL0 = 1 << 14 | 3 << 11 | 14 << 7 | 0 << 3 | 0
CNTV_TVAL_EL0 = 1 << 14 | 3 << 11 | 14 << 7 | 3 << 3 | 0
CNTV_CTL_EL0 = 1 << 14 | 3 << 11 | 14 << 7 | 3 << 3 | 1

WFI = 0xD503207F
ISB = 0xD5033FDF
DSB_SY = 0xD5033F9F
MSR_DAIFSET_ALL = 0xD5034FDF  # msr daifset, #15: mask debug, SError, IRQ and FIQ
XZR = 31


def movz(register: int, value: int, shift: int = 0) -> int:
    """movz x<register>, #value, lsl #shift"""
    return 0xD2800000 | shift // 16 << 21 | value << 5 | register


def movk(register: int, value: int, shift: int) -> int:
    """movk x<register>, #value, lsl #shift"""
    return 0xF2800000 | shift // 16 << 21 | value << 5 | register


def adr(register: int, distance: int) -> int:
    """adr x<register>, to ``distance`` bytes after (or, negative, before) this instruction"""
    return 0x10000000 | (distance & 3) << 29 | (distance >> 2 & 0x7FFFF) << 5 | register


def add(register: int, source: int, value: int) -> int:
    """add x<register>, x<source>, #value"""
    return 0x91000000 | value << 10 | source << 5 | register


def add_w(register: int, source: int, other: int) -> int:
    """add w<register>, w<source>, w<other>"""
    return 0x0B000000 | other << 16 | source << 5 | register


def sub(register: int, source: int, value: int) -> int:
    """sub x<register>, x<source>, #value"""
    return 0xD1000000 | value << 10 | source << 5 | register


def udiv(register: int, dividend: int, divisor: int) -> int:
    """udiv x<register>, x<dividend>, x<divisor>"""
    return 0x9AC00800 | divisor << 16 | dividend << 5 | register


def ldr(register: int, base: int, offset: int) -> int:
    """ldr x<register>, [x<base>, #offset]"""
    return 0xF9400000 | offset // 8 << 10 | base << 5 | register


def str_(register: int, base: int, offset: int) -> int:
    """str x<register>, [x<base>, #offset]"""
    return 0xF9000000 | offset // 8 << 10 | base << 5 | register


def str_w(register: int, base: int, offset: int) -> int:
    """str w<register>, [x<base>, #offset]"""
    return 0xB9000000 | offset // 4 << 10 | base << 5 | register


def mrs(register: int, system_register: int) -> int:
    """mrs x<register>, <system_register>"""
    return 0xD5300000 | system_register << 5 | register


def msr(system_register: int, register: int) -> int:
    """msr <system_register>, x<register>"""
    return 0xD5100000 | system_register << 5 | register


def b(instructions: int) -> int:
    """b, to an instruction that is so many instructions after (or, negative, before) this one"""
    return 0x14000000 | instructions & 0x03FFFFFF


def tbz(register: int, bit: int, instructions: int) -> int:
    """tbz x<register>, #bit, to an instruction that is so many instructions away; bit below 32"""
    return 0x36000000 | bit << 19 | (instructions & 0x3FFF) << 5 | register


def cbnz(register: int, instructions: int) -> int:
    """cbnz x<register>, to an instruction that is so many instructions away"""
    return 0xB5000000 | (instructions & 0x7FFFF) << 5 | register


def mov_64(register: int, value: int) -> list[int]:
    """Load a 64-bit value: movz for the lowest 16 bits, movk for each of the others that is not zero."""
    words = [movz(register, value & 0xFFFF)]
    words += [movk(register, value >> shift & 0xFFFF, shift) for shift in (16, 32, 48) if value >> shift & 0xFFFF]
    return words


def image(
    magic: bytes, magic_address: int, counter_address: int, tick_hz: int, pattern_address: int, pattern_size: int
) -> bytes:
    """Generate the image.

    Args:
        magic: 8 bytes that the guest writes at ``magic_address`` when its pattern is complete and its counter valid.
        magic_address: guest-physical address of the magic.
        counter_address: guest-physical address of the 64-bit counter, aligned and less than 32 KiB after the magic.
        tick_hz: ticks a second.
        pattern_address: guest-physical address of the pattern.
        pattern_size: bytes of the pattern, a multiple of ``4 * WORDS_A_ROUND``.
    """
    base, period, scratch, timer, word, step = range(1, 7)  # register numbers
    counter_offset = counter_address - magic_address

    code = [MSR_DAIFSET_ALL]
    code += [adr(scratch, -HEADER_SIZE - 4 * len(code)), msr(VBAR_EL1, scratch)]  # vector table: the image's start

    # GIC: forward the virtual timer's interrupt to this processor, whatever its priority.
    code += mov_64(base, GIC_DISTRIBUTOR)
    code += [*mov_64(scratch, 1 << VIRTUAL_TIMER_INTERRUPT), str_w(scratch, base, _GICD_ISENABLER0)]
    code += [*mov_64(scratch, 1), str_w(scratch, base, _GICD_CTLR)]
    code += mov_64(base, GIC_CPU_INTERFACE)
    code += [*mov_64(scratch, 0xFF), str_w(scratch, base, _GICC_PMR)]
    code += [*mov_64(scratch, 1), str_w(scratch, base, _GICC_CTLR)]

    # The pattern; scratch holds the number of bytes to go.
    code += [*mov_64(base, pattern_address), *mov_64(scratch, pattern_size)]
    code += [*mov_64(word, FIRST_WORD), *mov_64(step, STEP)]
    fill: list[int] = []
    for number in range(WORDS_A_ROUND):
        fill += [str_w(word, base, 4 * number), add_w(word, word, step)]
    fill += [add(base, base, 4 * WORDS_A_ROUND), sub(scratch, scratch, 4 * WORDS_A_ROUND)]
    code += [*fill, cbnz(scratch, -len(fill))]

    # period = timer frequency / tick_hz
    code += [mrs(period, CNTFRQ_EL0), *mov_64(scratch, tick_hz), udiv(period, period, scratch)]

    code += mov_64(base, magic_address)
    code += [str_(XZR, base, counter_offset)]
    code += [*mov_64(scratch, int.from_bytes(magic, "little")), DSB_SY, str_(scratch, base, 0)]

    # Arm the timer for one period from now.
    code += [msr(CNTV_TVAL_EL0, period), *mov_64(scratch, _CNTV_CTL_ENABLE), msr(CNTV_CTL_EL0, scratch), ISB]

    # Sleep; unless the timer has fired, sleep again; count, arm again, for ever. The counter lives in memory only,
    # not in a register, so that memory that did not arrive shows.
    loop = [
        WFI,
        mrs(timer, CNTV_CTL_EL0),
        tbz(timer, _CNTV_CTL_ISTATUS_BIT, -2),  # to wfi
        ldr(scratch, base, counter_offset),
        add(scratch, scratch, 1),
        str_(scratch, base, counter_offset),
        msr(CNTV_TVAL_EL0, period),
        ISB,
        b(-8),  # to wfi
    ]
    code += loop

    code += [0] * (((SYNCHRONOUS_VECTOR - HEADER_SIZE) // 4) - len(code))
    code += [WFI, b(-1)]

    header = struct.pack(
        "<IIQQQQQQ4sI",
        b(HEADER_SIZE // 4),  # code0: over the header
        0,  # code1
        TEXT_OFFSET,
        HEADER_SIZE + 4 * len(code),  # image_size: not zero, or text_offset would not count
        0,  # flags: little endian, page size unspecified, near RAM base
        0,
        0,
        0,
        HEADER_MAGIC,
        0,
    )
    return header + struct.pack(f"<{len(code)}I", *code)
