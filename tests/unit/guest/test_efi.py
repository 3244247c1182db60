# SPDX-License-Identifier: GPL-3.0-or-later
"""The EFI application: what the firmware reads of it as a PE file, what QEMU takes it for, and where its code refers to."""

from __future__ import annotations

import struct

import pytest

from migration_lab.guest import efi, x86_64
from migration_lab.guest.kernel import build

KERNEL = build("x86_64").image
IMAGE = build("x86_64").application
PE = struct.unpack_from("<I", IMAGE, 0x3C)[0]
SECTION = PE + 24 + 240
CODE = IMAGE[0x200:]


def u32(offset: int) -> int:
    return int(struct.unpack_from("<I", IMAGE, offset)[0])


def test_firmware_takes_it_for_a_64_bit_efi_application() -> None:
    assert IMAGE[:2] == b"MZ" and IMAGE[PE:PE + 4] == b"PE\0\0"
    machine, sections = struct.unpack_from("<HH", IMAGE, PE + 4)
    assert (machine, sections) == (0x8664, 1)
    optional = PE + 24
    magic, subsystem = struct.unpack_from("<H", IMAGE, optional)[0], struct.unpack_from("<H", IMAGE, optional + 68)[0]
    assert (magic, subsystem) == (0x20B, 10)
    entry, size_of_image = u32(optional + 16), u32(optional + 56)
    size, address, raw, offset = struct.unpack_from("<4I", IMAGE, SECTION + 8)
    assert entry == address == 0x1000 and offset == 0x200
    assert address + size <= size_of_image and offset + raw <= len(IMAGE)
    assert u32(SECTION + 36) & 0xE0000000 == 0xE0000000, "it writes its GDT's address beside its code"


def test_qemu_takes_it_for_an_old_linux_kernel() -> None:
    assert len(IMAGE) > 5 * 512 and IMAGE[0x1F1] == 0, "four setup sectors and the boot sector"
    assert IMAGE[0x202:0x206] != b"HdrS"
    assert struct.pack("<I", x86_64.HEADER_MAGIC) not in IMAGE[:8192], "no multiboot kernel either"
    assert IMAGE[0x20:0x24] == bytes(4), "QEMU writes there"


def test_code_refers_to_what_is_in_it() -> None:
    assert CODE.startswith(x86_64.CLI + x86_64.CLD + b"\x48\x8d\x35")
    kernel = x86_64.HEADER_SIZE
    payload = 2 + 7 + struct.unpack_from("<i", CODE, 5)[0]
    length = struct.unpack_from("<8I", KERNEL)[5] - x86_64.LOAD_ADDRESS - kernel
    assert CODE[payload:payload + length] == KERNEL[kernel:kernel + length]
    copy = CODE[9:21]
    assert copy == (
        b"\xbf" + struct.pack("<I", x86_64.LOAD_ADDRESS + kernel) + b"\xb9" + struct.pack("<I", length) + x86_64.REP_MOVSB
    )
    gdt = 28 + struct.unpack_from("<i", CODE, 24)[0]
    register = 42 + struct.unpack_from("<i", CODE, 38)[0]
    assert 35 + struct.unpack_from("<i", CODE, 31)[0] == register + 2
    assert struct.unpack_from("<HQ", CODE, register) == (23, 0) and gdt == register - 24
    assert CODE[gdt + 8:gdt + 16] == x86_64.segment_descriptor(0x9B)
    protected = 49 + struct.unpack_from("<i", CODE, 45)[0]
    assert CODE[49:54] == bytes.fromhex("6a08 50 48cb") and protected == 54, "push 8; push rax; retfq"
    entry = struct.unpack_from("<8I", KERNEL)[7]
    assert CODE[gdt - 7:gdt] == b"\xb8" + struct.pack("<I", entry) + b"\xff\xe0", "mov eax, entry; jmp eax"
    assert x86_64.APIC_PASSES_PIC in CODE[protected:gdt]


def test_another_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="does not begin with the multiboot header"):
        efi.image(bytes(64))


def test_other_architectures_have_none() -> None:
    assert build("aarch64").application == build("s390x").application == b""
