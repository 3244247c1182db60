# SPDX-License-Identifier: GPL-3.0-or-later
"""Generator of the x86 guest: 64 KiB that are a multiboot (version 1) kernel of 32-bit code and a PC's firmware in one.

As firmware (``-bios``, libvirt's ``<loader>``) it copies the kernel from the ROM to where it belongs and enters it, 7 ms
after the start with TCG.  libvirt before 0.9.12 ignores ``<loader>`` for QEMU.  As a kernel (``-kernel``), SeaBIOS runs
first, which takes 60 ms, 50 of them on a processor; then QEMU's multiboot option ROM copies the image to the addresses in
the header (the "a.out kludge", so no ELF is needed) and enters it in 32-bit protected mode with paging and interrupts off.

The kernel is laid out so that everything refers backwards: header, GDT, interrupt handlers, IDT, start-up code.

One thing besides memory is left to the firmware, SeaBIOS or our own: where the processor has a local APIC, it lets the
PIC's interrupts through (LINT0 in virtual wire mode).

Sources: Multiboot Specification 0.6.96, section 3.1 (header); QEMU hw/i386/multiboot.c (loader; QEMU 0.14 ignores the
two end addresses), hw/i386/x86.c (firmware: a multiple of 64 KiB, below 4 GiB and again below 1 MiB); Intel SDM volume 2
(instructions), volume 3 sections 3.4.5 and 6.11 (descriptors), 9.1.4 (first instruction), 9.9.1 (to protected mode) and
10.4 (APIC); Intel 8259A and 8254 data sheets.
"""

from __future__ import annotations

import struct

from .pattern import FIRST_WORD, STEP, WORDS_A_ROUND

RAM_BASE = 0
CPU = ""
LOAD_ADDRESS = 0x100000

# The firmware, as the processor sees it below 1 MiB, and where in it the processor begins.
ROM_ADDRESS = 0xF0000
ROM_SIZE = 0x10000
RESET_VECTOR = 0xFFF0

HEADER_MAGIC = 0x1BADB002
HEADER_HAS_ADDRESSES = 0x00010000
HEADER_SIZE = 32

CODE_SELECTOR = 0x08
DATA_SELECTOR = 0x10

FIRST_IRQ_VECTOR = 0x20  # vectors below are the processor's exceptions
IDT_ENTRIES = FIRST_IRQ_VECTOR + 16

PIT_HZ = 1193182

# The page after the status page; an interrupt needs 16 bytes of stack.
_STACK_TOP_FROM_STATUS = 0x2000

_APIC_SPURIOUS, _APIC_LINT0 = 0xFEE000F0, 0xFEE00350

_PIC1_COMMAND, _PIC1_DATA = 0x20, 0x21
_PIC2_COMMAND, _PIC2_DATA = 0xA0, 0xA1
_PIT_CHANNEL_0, _PIT_CONTROL = 0x40, 0x43

# Registers by their number in the instruction.
_REGISTERS = {"eax": 0, "ecx": 1, "esp": 4, "esi": 6, "edi": 7}
# Segment registers by their number in ModRM.
_SEGMENT_REGISTERS = {"es": 0, "ss": 2, "ds": 3, "fs": 4, "gs": 5}

CLI = b"\xfa"
STI = b"\xfb"
HLT = b"\xf4"
CLD = b"\xfc"
REP_MOVSB = b"\xf3\xa4"
STOSD = b"\xab"  # mov dword ptr es:[edi], eax; add edi, 4


def mov_al(value: int) -> bytes:
    """mov al, imm8"""
    return struct.pack("<BB", 0xB0, value)


def mov(register: str, value: int) -> bytes:
    """mov eax|ecx|esp|esi|edi, imm32"""
    return struct.pack("<BI", 0xB8 | _REGISTERS[register], value)


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


# Software-enabled, spurious vector 0xff; LINT0 delivers external interrupts. Without an APIC nothing is there to write to.
APIC_PASSES_PIC = mov_dword(_APIC_SPURIOUS, 0x1FF) + mov_dword(_APIC_LINT0, 0x700)


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


def enter_protected_mode(table_register_offset: int, address: int) -> bytes:
    """16-bit code: cli; lgdt dword cs:[offset]; set bit 0 of cr0; jmp CODE_SELECTOR:address"""
    lgdt_cs = struct.pack("<5BH", 0x66, 0x2E, 0x0F, 0x01, 0x16, table_register_offset)
    return CLI + lgdt_cs + bytes.fromhex("0f20c0 0c01 0f22c0") + b"\x66" + jmp_far(CODE_SELECTOR, address)


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
        return LOAD_ADDRESS + HEADER_SIZE + len(body)

    def place(part: bytes) -> int:
        """Append ``part`` to the image and return its guest-physical address."""
        address = here()
        body.extend(part)
        return address

    # The accessed bit is set from the start, so that the processor has no reason to write to the table.
    gdt = bytes(8) + segment_descriptor(0x9B) + segment_descriptor(0x93)  # null, 0x08 code, 0x10 data
    gdt_address = place(gdt)
    gdt_register = place(table_register(gdt, gdt_address))

    # No handler returns with iret. There is nothing to return to but the idle loop, and KVM, where it has to emulate a
    # guest without paging (seen with kvm-pvm), has no iret for protected mode.
    stop = place(CLI + HLT + jmp_back(2))  # an exception: never count again, even after an NMI
    tick = place(
        add_dword(counter_address, 1)
        + adc_dword(counter_address + 4, 0)
        + mov_al(0x20)  # end of interrupt
        + out_al(_PIC1_COMMAND)
    )
    # A tick continues here: drop the interrupt's frame and sleep, for ever. The PIC's other interrupts are masked, so one
    # of them is spurious; it enters here and wants no end of interrupt.
    idle = place(mov("esp", stack_top))
    place(STI + HLT)  # sti takes effect after hlt has begun: no tick is missed in between
    place(jmp_back(here() - idle))

    handlers = [stop] * FIRST_IRQ_VECTOR + [tick] + [idle] * (IDT_ENTRIES - FIRST_IRQ_VECTOR - 1)
    idt = b"".join(interrupt_gate(handler) for handler in handlers)
    idt_register = place(table_register(idt, place(idt)))

    entry = place(CLI + lgdt(gdt_register))
    place(jmp_far(CODE_SELECTOR, here() + _JMP_FAR_SIZE))  # to the next instruction: loads cs
    place(mov("eax", DATA_SELECTOR) + b"".join(mov_segment_eax(register) for register in _SEGMENT_REGISTERS))
    place(lidt(idt_register))

    # The pattern, before the timer is set up: otherwise a tick is due by the time the guest begins to count.
    place(CLD + mov("edi", pattern_address) + mov("eax", FIRST_WORD))
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
    return _firmware(header + bytes(body), table_register(gdt, gdt_address - LOAD_ADDRESS + ROM_ADDRESS), entry)


def _firmware(kernel: bytes, gdt_register: bytes, entry: int) -> bytes:
    """A kernel and behind it what starts it from the reset vector.

    Args:
        gdt_register: limit and address of the kernel's GDT, as it is in the ROM.
        entry: address of the kernel's first instruction.
    """
    rom = bytearray(kernel + gdt_register)
    start = len(rom)
    start_32 = ROM_ADDRESS + start + len(enter_protected_mode(0, 0))
    rom += enter_protected_mode(len(kernel), start_32)
    rom += mov("eax", DATA_SELECTOR) + mov_segment_eax("ds") + mov_segment_eax("es")
    rom += CLD + mov("esi", ROM_ADDRESS) + mov("edi", LOAD_ADDRESS) + mov("ecx", len(kernel)) + REP_MOVSB
    rom += APIC_PASSES_PIC
    rom += jmp_near(entry - (ROM_ADDRESS + len(rom) + _JMP_NEAR_SIZE))
    rom = rom.ljust(RESET_VECTOR, b"\xff") + struct.pack("<BH", 0xE9, start - RESET_VECTOR - 3 & 0xFFFF)  # jmp rel16
    return bytes(rom.ljust(ROM_SIZE, b"\xff"))
