# SPDX-License-Identifier: GPL-3.0-or-later
"""Generator of the x86 guest kernel: a multiboot (version 1) image of 32-bit code.

QEMU's ``-kernel`` recognises the multiboot header, SeaBIOS runs first, then QEMU's multiboot option ROM copies the
image to the addresses in the header (the "a.out kludge", so no ELF is needed) and enters it in 32-bit protected mode
with paging and interrupts off.

The image is laid out so that everything refers backwards: header, GDT, interrupt handlers, IDT, start-up code.

SeaBIOS is relied on for one thing: where the processor has a local APIC, it lets the PIC's interrupts through (LINT0 in
virtual wire mode).

Sources: Multiboot Specification 0.6.96, section 3.1 (header); QEMU hw/i386/multiboot.c (loader; QEMU 0.14 ignores the
two end addresses); Intel SDM volume 2 (instructions), volume 3 sections 3.4.5 and 6.11 (descriptors); Intel 8259A and
8254 data sheets.
"""

from __future__ import annotations

import struct

from .pattern import FIRST_WORD, STEP, WORDS_A_ROUND

RAM_BASE = 0
LOAD_ADDRESS = 0x100000

HEADER_MAGIC = 0x1BADB002
HEADER_HAS_ADDRESSES = 0x00010000
_HEADER_SIZE = 32

CODE_SELECTOR = 0x08
DATA_SELECTOR = 0x10

FIRST_IRQ_VECTOR = 0x20  # vectors below are the processor's exceptions
IDT_ENTRIES = FIRST_IRQ_VECTOR + 16

PIT_HZ = 1193182

# The page after the status page; an interrupt needs 16 bytes of stack.
_STACK_TOP_FROM_STATUS = 0x2000

_PIC1_COMMAND, _PIC1_DATA = 0x20, 0x21
_PIC2_COMMAND, _PIC2_DATA = 0xA0, 0xA1
_PIT_CHANNEL_0, _PIT_CONTROL = 0x40, 0x43

# Segment registers by their number in ModRM.
_SEGMENT_REGISTERS = {"es": 0, "ss": 2, "ds": 3, "fs": 4, "gs": 5}

CLI = b"\xfa"
STI = b"\xfb"
HLT = b"\xf4"
CLD = b"\xfc"
STOSD = b"\xab"  # mov dword ptr es:[edi], eax; add edi, 4


def mov_al(value: int) -> bytes:
    """mov al, imm8"""
    return struct.pack("<BB", 0xB0, value)


def mov_eax(value: int) -> bytes:
    """mov eax, imm32"""
    return struct.pack("<BI", 0xB8, value)


def mov_esp(value: int) -> bytes:
    """mov esp, imm32"""
    return struct.pack("<BI", 0xBC, value)


def mov_edi(value: int) -> bytes:
    """mov edi, imm32"""
    return struct.pack("<BI", 0xBF, value)


def add_eax(value: int) -> bytes:
    """add eax, imm32"""
    return struct.pack("<BI", 0x05, value)


def cmp_edi(value: int) -> bytes:
    """cmp edi, imm32"""
    return struct.pack("<BBI", 0x81, 0xFF, value)


def mov_segment_eax(register: str) -> bytes:
    """mov es|ss|ds|fs|gs, eax"""
    return struct.pack("<BB", 0x8E, 0xC0 | _SEGMENT_REGISTERS[register] << 3)


def mov_dword(address: int, value: int) -> bytes:
    """mov dword ptr [address], imm32"""
    return struct.pack("<BBII", 0xC7, 0x05, address, value)


def add_dword(address: int, value: int) -> bytes:
    """add dword ptr [address], imm8 (sign-extended)"""
    return struct.pack("<BBIb", 0x83, 0x05, address, value)


def adc_dword(address: int, value: int) -> bytes:
    """adc dword ptr [address], imm8 (sign-extended)"""
    return struct.pack("<BBIb", 0x83, 0x15, address, value)


def out_al(port: int) -> bytes:
    """out imm8, al"""
    return struct.pack("<BB", 0xE6, port)


def lgdt(address: int) -> bytes:
    """lgdt [address]"""
    return struct.pack("<BBBI", 0x0F, 0x01, 0x15, address)


def lidt(address: int) -> bytes:
    """lidt [address]"""
    return struct.pack("<BBBI", 0x0F, 0x01, 0x1D, address)


_JMP_FAR_SIZE = 7


def jmp_far(selector: int, address: int) -> bytes:
    """jmp selector:address"""
    return struct.pack("<BIH", 0xEA, address, selector)


def jmp_back(distance: int) -> bytes:
    """jmp rel8, to ``distance`` bytes before this instruction"""
    return struct.pack("<Bb", 0xEB, -distance - 2)


def jne_back(distance: int) -> bytes:
    """jne rel8, to ``distance`` bytes before this instruction"""
    return struct.pack("<Bb", 0x75, -distance - 2)


_JMP_NEAR_SIZE = 5


def jmp_near(distance: int) -> bytes:
    """jmp rel32, to ``distance`` bytes after the end of this instruction"""
    return struct.pack("<Bi", 0xE9, distance)


def segment_descriptor(access: int) -> bytes:
    """A flat segment (base 0, limit 4 GiB, 32-bit) with this access byte."""
    limit_low, base_low, base_middle, limit_high_and_flags, base_high = 0xFFFF, 0, 0, 0xCF, 0
    return struct.pack("<HHBBBB", limit_low, base_low, base_middle, access, limit_high_and_flags, base_high)


def interrupt_gate(handler: int) -> bytes:
    """A 32-bit interrupt gate: present, for ring 0, entered with interrupts off."""
    return struct.pack("<HHBBH", handler & 0xFFFF, CODE_SELECTOR, 0, 0x8E, handler >> 16)


def table_register(table: bytes, address: int) -> bytes:
    """The operand of lgdt and lidt: limit (size - 1) and address of a table."""
    return struct.pack("<HI", len(table) - 1, address)


def pit_divisor(tick_hz: int) -> int:
    """What the PIT divides its input clock by to tick ``tick_hz`` times a second."""
    return round(PIT_HZ / tick_hz)


def image(
    magic: bytes, magic_address: int, counter_address: int, tick_hz: int, pattern_address: int, pattern_size: int
) -> bytes:
    """Generate the image.

    Args:
        magic: 8 bytes that the guest writes at ``magic_address`` when its pattern is complete and its counter valid.
        magic_address: guest-physical address of the magic, at the start of a page; the page after it is the stack.
        counter_address: guest-physical address of the 64-bit counter.
        tick_hz: ticks a second; at least 19, the PIT's lowest rate.
        pattern_address: guest-physical address of the pattern.
        pattern_size: bytes of the pattern, a multiple of ``4 * WORDS_A_ROUND``.
    """
    stack_top = magic_address + _STACK_TOP_FROM_STATUS
    body = bytearray()

    def here() -> int:
        """The guest-physical address of what is placed next."""
        return LOAD_ADDRESS + _HEADER_SIZE + len(body)

    def place(part: bytes) -> int:
        """Append ``part`` to the image and return its guest-physical address."""
        address = here()
        body.extend(part)
        return address

    # The accessed bit is set from the start, so that the processor has no reason to write to the table.
    gdt = bytes(8) + segment_descriptor(0x9B) + segment_descriptor(0x93)  # null, 0x08 code, 0x10 data
    gdt_register = place(table_register(gdt, place(gdt)))

    # No handler returns with iret. There is nothing to return to but the idle loop, and KVM, where it has to emulate a
    # guest without paging (seen with kvm-pvm), has no iret for protected mode.
    stop = place(CLI + HLT + jmp_back(2))  # an exception: never count again, even after an NMI
    tick = place(
        add_dword(counter_address, 1)
        + adc_dword(counter_address + 4, 0)
        + mov_al(0x20)  # end of interrupt
        + out_al(_PIC1_COMMAND)
    )
    # A tick goes on here: drop the interrupt's frame and sleep, for ever. The PIC's other interrupts are masked, so one
    # of them is spurious; it enters here and wants no end of interrupt.
    idle = place(mov_esp(stack_top))
    place(STI + HLT)  # sti takes effect after hlt has begun: no tick is missed in between
    place(jmp_back(here() - idle))

    handlers = [stop] * FIRST_IRQ_VECTOR + [tick] + [idle] * (IDT_ENTRIES - FIRST_IRQ_VECTOR - 1)
    idt = b"".join(interrupt_gate(handler) for handler in handlers)
    idt_register = place(table_register(idt, place(idt)))

    entry = place(CLI + lgdt(gdt_register))
    place(jmp_far(CODE_SELECTOR, here() + _JMP_FAR_SIZE))  # to the next instruction: loads cs
    place(mov_eax(DATA_SELECTOR) + b"".join(mov_segment_eax(register) for register in _SEGMENT_REGISTERS))
    place(lidt(idt_register))

    # The pattern, before the timer is set up: otherwise a tick is due by the time the guest begins to count.
    place(CLD + mov_edi(pattern_address) + mov_eax(FIRST_WORD))
    fill = place((STOSD + add_eax(STEP)) * WORDS_A_ROUND)
    place(cmp_edi(pattern_address + pattern_size))
    place(jne_back(here() - fill))

    # Both PICs: initialise, cascaded on IRQ 2, vectors after the exceptions; then mask everything but IRQ 0.
    place(mov_al(0x11) + out_al(_PIC1_COMMAND) + out_al(_PIC2_COMMAND))  # ICW1: edge-triggered, cascade, ICW4 follows
    place(mov_al(FIRST_IRQ_VECTOR) + out_al(_PIC1_DATA))  # ICW2: first vector
    place(mov_al(FIRST_IRQ_VECTOR + 8) + out_al(_PIC2_DATA))
    place(mov_al(0x04) + out_al(_PIC1_DATA))  # ICW3: the second PIC is on line 2
    place(mov_al(0x02) + out_al(_PIC2_DATA))
    place(mov_al(0x01) + out_al(_PIC1_DATA) + out_al(_PIC2_DATA))  # ICW4: 8086 mode, explicit end of interrupt
    place(mov_al(0xFE) + out_al(_PIC1_DATA))  # OCW1: interrupt mask
    place(mov_al(0xFF) + out_al(_PIC2_DATA))

    # PIT channel 0, low byte then high byte, mode 2: one short pulse per period, which wakes QEMU less often than the
    # square wave of mode 3 (1.2 % of a core instead of 1.7 %).
    divisor = pit_divisor(tick_hz)
    place(mov_al(0x34) + out_al(_PIT_CONTROL))
    place(mov_al(divisor & 0xFF) + out_al(_PIT_CHANNEL_0))
    place(mov_al(divisor >> 8) + out_al(_PIT_CHANNEL_0))

    magic_low, magic_high = struct.unpack("<II", magic)
    place(mov_dword(counter_address, 0) + mov_dword(counter_address + 4, 0))
    place(mov_dword(magic_address + 4, magic_high) + mov_dword(magic_address, magic_low))

    place(jmp_near(idle - here() - _JMP_NEAR_SIZE))

    checksum = -(HEADER_MAGIC + HEADER_HAS_ADDRESSES) & 0xFFFFFFFF
    load_end = here()
    header = struct.pack(
        "<8I",
        HEADER_MAGIC,
        HEADER_HAS_ADDRESSES,
        checksum,
        LOAD_ADDRESS,  # header_addr: the header is the first thing in the file
        LOAD_ADDRESS,  # load_addr
        load_end,  # load_end_addr
        load_end,  # bss_end_addr: no bss; not 0, from which QEMU 1.x and 2.x compute a negative size
        entry,  # entry_addr
    )
    return header + bytes(body)
