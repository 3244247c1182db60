# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's guest: a kernel of less than a kilobyte of code that fills memory with a pattern, then counts in memory.

A migrated guest can only show that it continued where it had stopped if it does something that can be seen from outside.
This one needs no device: it writes a magic and counts timer ticks in its *status page*, which
virDomainMemoryPeek(VIR_MEMORY_PHYSICAL), or QEMU's ``xp`` and ``pmemsave``, can read. Between two ticks its processor
is halted. Before it counts it fills a part of its memory with a pattern (pattern.py) and never writes there again, so
that a check can see whether its memory arrived whole.

Guest-physical memory, from RAM base:

========== ======= ============================================================
offset     size    contents
========== ======= ============================================================
0          2 MiB   the image, and what QEMU and its firmware place beside it
2 MiB      8 KiB   status page; on x86_64 the page after it is the stack
4 MiB      8 MiB   pattern: 32-bit words, no two of them equal
12 MiB     4 MiB   never touched by the guest; on x86_64 the firmware's tables, on s390x the firmware
========== ======= ============================================================

Status page: one page (4096 bytes) of guest-physical memory, at RAM base + 2 MiB, little endian.

====== ==== ================================================================================
offset size field
====== ==== ================================================================================
0x000  8    magic, ``MAGIC``; written last, so when it is there the pattern is complete and the
            fields below are valid
0x008  8    counter: starts at 0, grows by one per timer tick, about ``TICK_HZ`` times a
            second while the guest runs
0x010       free for later fields; the guest never writes here
====== ==== ================================================================================

The counter shows that the guest makes progress; it is no clock. Ticks get lost when the guest gets no processor time
(TCG on an idle lab host: 99 to 100 a second on x86_64, 95 to 99 on aarch64, 97 to 99 on s390x; fewer on a busy one). A
guest that meets an exception stops counting for good and stays halted; one that is reset starts again at 0.

The guests run in 16 MiB of RAM. QEMU's ``-kernel`` (libvirt: ``<kernel>``) starts them; the x86_64 image is firmware as
well (``-bios``, ``<loader>``), which is nine times as fast as SeaBIOS. They need no initrd, command line, disk, display
or serial port, and one processor. The pattern overwrites aarch64's device tree, at 8 MiB.

======= =================== ============================================ =================================
arch    machine             processor                                    interrupts
======= =================== ============================================ =================================
x86_64  pc-i440fx-*, q35    any: 32-bit code, no instruction after i486  PIC and PIT
aarch64 virt-*              a 64-bit one, named (cortex-a57): the        GICv2, to be asked for
                            machine's default is 32-bit                  (``<gic version='2'/>``)
s390x   s390-ccw-virtio-*   any: no instruction after z900               clock comparator
======= =================== ============================================ =================================

An aarch64 guest is for pairs with equal QEMU versions. QEMU sends the processor's registers as a list that must match,
and TCG's list changes between versions: 7.2 and 10.0 refuse each other's guests ("error while loading state for
instance 0x0 of device 'cpu'"), with every processor model tried. x86_64 and s390x guests migrate between those two both ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from . import aarch64, efi, s390x, x86_64

MAGIC = b"MIGRLAB1"
TICK_HZ = 100
PATTERN_SIZE = 8 * 1024 * 1024

_STATUS_OFFSET = 2 * 1024 * 1024
_COUNTER_OFFSET = 8
_PATTERN_OFFSET = 4 * 1024 * 1024

_GENERATORS = {"aarch64": aarch64, "s390x": s390x, "x86_64": x86_64}
ARCHITECTURES = tuple(_GENERATORS)


@dataclass(frozen=True)
class Guest:
    """A guest kernel and where to look for its signs of life and for its pattern.

    Attributes:
        image: contents of the file that ``<kernel>`` or ``<loader>`` names.
        file_name: name, without directory, under which the lab stores the image.
        ram_base: guest-physical address of the first byte of RAM.
        load_address: guest-physical address at which QEMU places the image.
        magic_address: guest-physical address of ``MAGIC``: the start of the status page.
        counter_address: guest-physical address of the 64-bit little-endian tick counter.
        pattern_address: guest-physical address of the pattern.
        pattern_size: bytes of the pattern.
        application: contents of the file that starts the image under UEFI; empty where there is none.
        application_name: name of that file.
        cpu: the processor model that it needs; empty where the machine's default will do.
    """

    image: bytes
    file_name: str
    application: bytes
    application_name: str
    ram_base: int
    load_address: int
    magic_address: int
    counter_address: int
    pattern_address: int
    pattern_size: int
    cpu: str


@cache
def build(arch: str) -> Guest:
    """Generate the guest kernel of an architecture; the same input gives the same bytes.

    Args:
        arch: one of ``ARCHITECTURES``.

    Raises:
        ValueError: the lab has no guest for this architecture.
    """
    generator = _GENERATORS.get(arch)
    if generator is None:
        known = ", ".join(_GENERATORS)
        raise ValueError(f"the lab has no guest kernel for architecture {arch!r}: choose one of {known}")
    magic_address = generator.RAM_BASE + _STATUS_OFFSET
    counter_address = magic_address + _COUNTER_OFFSET
    pattern_address = generator.RAM_BASE + _PATTERN_OFFSET
    image = generator.image(MAGIC, magic_address, counter_address, TICK_HZ, pattern_address, PATTERN_SIZE)
    return Guest(
        image=image,
        file_name=f"guest-{arch}.img",
        application=efi.image(image) if generator is x86_64 else b"",
        application_name=f"guest-{arch}.efi",
        ram_base=generator.RAM_BASE,
        load_address=generator.LOAD_ADDRESS,
        magic_address=magic_address,
        counter_address=counter_address,
        pattern_address=pattern_address,
        pattern_size=PATTERN_SIZE,
        cpu=generator.CPU,
    )
