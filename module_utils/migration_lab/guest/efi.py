# SPDX-License-Identifier: GPL-3.0-or-later
"""Generator of the x86 guest as an EFI application, for machines whose firmware is UEFI (OVMF).

OVMF starts what QEMU's ``-kernel`` (libvirt: ``<kernel>``) names when it is an EFI application: a PE32+ file. This one copies the
kernel (x86_64.py) to where it belongs, leaves long mode, and enters it as a multiboot loader does: in 32-bit protected mode with
paging and interrupts off. It calls no service of the firmware and needs none again; the firmware's memory is overwritten.

QEMU passes the file on as it is only if it takes it for an old Linux kernel: longer than five sectors, without the magic of a
newer one at 0x202 and without a multiboot header in its first 8 KiB. It writes to two fields at 0x20, free in a PE file.

Sources: PE Format (Microsoft), "MS-DOS Stub" to "Section Table"; UEFI Specification 2.10, sections 2.1.1 (images) and 2.3.4
(state of the processor); QEMU hw/i386/x86-common.c (x86_load_linux); Intel SDM volume 3, section 9.8.5.4 (leaving long mode)
and 10.4 (APIC).
"""

from __future__ import annotations

import struct

from . import x86_64
from .x86_64 import CLD, CLI, CODE_SELECTOR, DATA_SELECTOR, LOAD_ADDRESS, REP_MOVSB, mov, mov_dword, mov_segment_eax

_HEADERS = 0x200  # the file's headers, and the alignment of what follows in it
_CODE = 0x1000  # where the only section is in memory, from the image's base

_MACHINE_AMD64, _OPTIONAL_HEADER_SIZE = 0x8664, 240
_EXECUTABLE, _LARGE_ADDRESS_AWARE = 0x0002, 0x0020
_PE32_PLUS, _EFI_APPLICATION = 0x20B, 10
_CODE_READ_WRITE_EXECUTE = 0xE0000020

_APIC_TIMER = 0xFEE00320
_MASKED = 0x10000

_RDMSR = b"\x0f\x32"
_WRMSR = b"\x0f\x30"
_EFER = 0xC0000080

# Each addresses memory relative to the end of the instruction, by 32 bits that follow.
_LEA_RSI = b"\x48\x8d\x35"
_LEA_RAX = b"\x48\x8d\x05"
_STORE_RAX = b"\x48\x89\x05"
_LGDT = b"\x0f\x01\x15"


def image(kernel: bytes) -> bytes:
    """The application that starts a kernel.

    Args:
        kernel: what ``x86_64.image`` returns; its multiboot header tells the size of the kernel and where it is entered.

    Raises:
        ValueError: the kernel has no such header.
    """
    fields = struct.unpack_from("<8I", kernel)
    if fields[0] != x86_64.HEADER_MAGIC or fields[4] != LOAD_ADDRESS:
        raise ValueError("the kernel does not begin with the multiboot header of x86_64.py")
    payload, entry = kernel[x86_64.HEADER_SIZE:fields[5] - LOAD_ADDRESS], fields[7]
    return _file(_code(payload, entry))


def _code(payload: bytes, entry: int) -> bytes:
    """The section: what runs, then a GDT with its register, then the kernel."""
    protected = (
        mov("eax", DATA_SELECTOR)
        + b"".join(mov_segment_eax(register) for register in ("ds", "es", "ss"))
        + bytes.fromhex("0f20c0 25ffffff7f 0f22c0")  # cr0: paging off, which ends long mode
        + mov("ecx", _EFER) + _RDMSR + bytes.fromhex("25fffeffff") + _WRMSR  # long mode not enabled
        + bytes.fromhex("31c0 0f22e0")  # cr4: no extension, as after a reset
        + mov_dword(_APIC_TIMER, _MASKED)  # the firmware's clock, on the vector of the guest's
        + x86_64.APIC_PASSES_PIC
        + mov("eax", entry) + b"\xff\xe0"  # jmp eax
    )
    gdt = bytes(8) + x86_64.segment_descriptor(0x9B) + x86_64.segment_descriptor(0x93)
    begin = CLI + CLD
    copy = mov("edi", LOAD_ADDRESS + x86_64.HEADER_SIZE) + mov("ecx", len(payload)) + REP_MOVSB
    # push CODE_SELECTOR; push rax; retfq
    leave = struct.pack("<BB", 0x6A, CODE_SELECTOR) + b"\x50\x48\xcb"
    relative = [_LEA_RSI, _LEA_RAX, _STORE_RAX, _LGDT, _LEA_RAX]
    at_protected = len(begin) + len(copy) + len(leave) + sum(len(part) + 4 for part in relative)
    at_gdt = at_protected + len(protected)
    at_register = at_gdt + len(gdt)
    at_payload = at_register + 10
    code = bytearray(begin)

    def place(instruction: bytes, target: int) -> None:
        code.extend(instruction + struct.pack("<i", target - len(code) - len(instruction) - 4))

    place(_LEA_RSI, at_payload)
    code.extend(copy)
    place(_LEA_RAX, at_gdt)
    place(_STORE_RAX, at_register + 2)
    place(_LGDT, at_register)
    place(_LEA_RAX, at_protected)
    code.extend(leave)
    assert len(code) == at_protected
    return bytes(code) + protected + gdt + struct.pack("<HQ", len(gdt) - 1, 0) + payload


def _file(code: bytes) -> bytes:
    """A PE32+ file with one section that is code and data."""
    raw = -len(code) % _HEADERS + len(code)
    pages = -len(code) % _CODE + len(code)
    dos = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    coff = struct.pack(
        "<4sHHIIIHH", b"PE\0\0", _MACHINE_AMD64, 1, 0, 0, 0, _OPTIONAL_HEADER_SIZE, _EXECUTABLE | _LARGE_ADDRESS_AWARE
    )
    optional = struct.pack(
        "<HBBIIIII QII HHHHHH IIII HH QQQQ II",
        _PE32_PLUS, 0, 0, raw, 0, 0, _CODE, _CODE,  # sizes of code and data; entry point; base of code
        0, _CODE, _HEADERS,  # preferred base; alignments in memory and in the file
        0, 0, 0, 0, 0, 0,  # versions
        0, _CODE + pages, _HEADERS, 0,  # sizes of image and headers; checksum
        _EFI_APPLICATION, 0,
        0, 0, 0, 0,  # stack and heap
        0, 16,  # data directories, all of them empty
    ).ljust(_OPTIONAL_HEADER_SIZE, b"\0")
    section = struct.pack("<8sIIIIIIHHI", b".text", len(code), _CODE, raw, _HEADERS, 0, 0, 0, 0, _CODE_READ_WRITE_EXECUTE)
    return (dos + coff + optional + section).ljust(_HEADERS, b"\0") + code.ljust(raw, b"\0") + bytes(6 * _HEADERS)
