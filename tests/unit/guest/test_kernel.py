# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest kernels: what QEMU reads in their headers, and what they do, run on two processors small enough to be read.

The processors know exactly the instructions that the kernels use, decode them without the help of the generators'
encoders, and refuse any other. The encoders' own output was checked with objdump: the words in KNOWN_X86 and
KNOWN_AARCH64, with the comments beside them, are its reading.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import struct
import time
from typing import Union

import pytest

from migration_lab.guest import aarch64, pattern, s390x, x86_64
from migration_lab.guest import kernel as guest
from s390x_processor import S390xProcessor

GENERATORS = {"aarch64": aarch64, "s390x": s390x, "x86_64": x86_64}
ARCHITECTURES = ["x86_64", "aarch64", "s390x"]
MIB = 1024 * 1024
PAGE = 4096

# The guests under test fill less than the real ones, which takes these processors too long.
SMALL = 1024
FILLING = 1000  # more instructions than that takes

# op0<0> op1 CRn CRm op2, as objdump reads them in KNOWN_AARCH64
SYSTEM_REGISTERS = {0x5F00: "cntfrq", 0x5F18: "cntv_tval", 0x5F19: "cntv_ctl", 0x4600: "vbar"}


class Memory:
    """Guest-physical memory that remembers what the guest wrote, in order: addresses and sizes."""

    def __init__(self, address: int, content: bytes) -> None:
        self.bytes = {address + offset: value for offset, value in enumerate(content)}
        self.stores: list[tuple[int, int]] = []

    def read(self, address: int, size: int) -> int:
        return int.from_bytes(bytes(self.bytes.get(address + offset, 0) for offset in range(size)), "little")

    def write(self, address: int, size: int, value: int) -> None:
        self.stores.append((address, size))
        for offset, byte in enumerate(value.to_bytes(size, "little")):
            self.bytes[address + offset] = byte

    @property
    def written(self) -> set[int]:
        return {address + offset for address, size in self.stores for offset in range(size)}


class X86:
    """The subset of a 32-bit x86 that the guest uses, flat segments, no paging."""

    def __init__(self, image: bytes) -> None:
        header = struct.unpack("<8I", image[:32])
        self.memory = Memory(header[4], image[:header[5] - header[4]])
        self.ip = header[7]
        self.eax = self.ecx = self.esp = self.esi = self.edi = self.cs = 0
        self.carry = self.equal = False
        self.backwards = True  # as bad as it gets: the guest has to clear the direction flag itself
        self.interrupts = True  # likewise
        self.segments: dict[int, int] = {}
        self.tables: dict[str, tuple[int, int]] = {}
        self.ports: list[tuple[int, int]] = []

    def fetch(self, size: int, signed: bool = False) -> int:
        value = self.memory.read(self.ip, size)
        self.ip += size
        return value - (1 << 8 * size) if signed and value >> (8 * size - 1) else value

    def run(self, limit: int = 200 + FILLING) -> None:
        """Run until the processor halts."""
        for _ in range(limit):
            if self.step() == "hlt":
                return
        raise AssertionError(f"not halted after {limit} instructions, at {self.ip:#x}")

    def step(self) -> str:
        opcode = self.fetch(1)
        if opcode in (0xFA, 0xFB):  # cli, sti
            self.interrupts = opcode == 0xFB
        elif opcode == 0xF4:
            return "hlt"
        elif opcode == 0xB0:  # mov al, imm8
            self.eax = self.eax & ~0xFF | self.fetch(1)
        elif opcode == 0xB8:  # mov eax, imm32
            self.eax = self.fetch(4)
        elif opcode == 0xBC:  # mov esp, imm32
            self.esp = self.fetch(4)
        elif opcode == 0xB9:  # mov ecx, imm32
            self.ecx = self.fetch(4)
        elif opcode == 0xBE:  # mov esi, imm32
            self.esi = self.fetch(4)
        elif opcode == 0xBF:  # mov edi, imm32
            self.edi = self.fetch(4)
        elif opcode == 0xF3:  # rep movsb
            assert self.fetch(1) == 0xA4 and not self.backwards and {0, 3} <= set(self.segments), "from ds to es, upwards"
            while self.ecx:
                self.memory.write(self.edi, 1, self.memory.read(self.esi, 1))
                self.esi, self.edi, self.ecx = self.esi + 1, self.edi + 1, self.ecx - 1
        elif opcode == 0x05:  # add eax, imm32
            self.eax = self.eax + self.fetch(4) & 0xFFFFFFFF
        elif opcode == 0xFC:  # cld
            self.backwards = False
        elif opcode == 0xAB:  # stosd
            assert 0 in self.segments, "it stores through es"
            self.memory.write(self.edi, 4, self.eax)
            self.edi += -4 if self.backwards else 4
        elif opcode == 0x81:  # cmp edi, imm32: ModRM 11 /7 111
            assert self.fetch(1) == 0b11_111_111
            self.equal = self.edi == self.fetch(4)
        elif opcode == 0x75:  # jne rel8
            distance = self.fetch(1, signed=True)
            self.ip += 0 if self.equal else distance
        elif opcode == 0xE6:  # out imm8, al
            self.ports.append((self.fetch(1), self.eax & 0xFF))
        elif opcode == 0xEB:  # jmp rel8
            self.ip = self.fetch(1, signed=True) + self.ip
        elif opcode == 0xE9:  # jmp rel32
            self.ip = self.fetch(4, signed=True) + self.ip
        elif opcode == 0xEA:  # jmp ptr16:32
            self.ip, self.cs = self.fetch(4), self.fetch(2)
        elif opcode == 0x8E:  # mov sreg, eax: ModRM 11 sreg 000
            modrm = self.fetch(1)
            assert modrm & 0b11_000_111 == 0b11_000_000
            self.segments[modrm >> 3 & 7] = self.eax & 0xFFFF
        elif opcode == 0xC7:  # mov dword ptr [disp32], imm32: ModRM 00 /0 101
            assert self.fetch(1) == 0x05
            self.memory.write(self.fetch(4), 4, self.fetch(4))
        elif opcode == 0x83:  # add (/0), adc (/2) dword ptr [disp32], imm8
            operation = {0x05: "add", 0x15: "adc"}[self.fetch(1)]
            address = self.fetch(4)
            total = self.memory.read(address, 4) + self.fetch(1) + (self.carry if operation == "adc" else 0)
            self.carry = total > 0xFFFFFFFF
            self.memory.write(address, 4, total & 0xFFFFFFFF)
        elif opcode == 0x0F:  # 0F 01 /2 lgdt, /3 lidt [disp32]
            assert self.fetch(1) == 0x01
            assert not self.interrupts, "no interrupt may come before its table"
            table = {0x15: "gdt", 0x1D: "idt"}[self.fetch(1)]
            register = self.fetch(4)
            self.tables[table] = (self.memory.read(register + 2, 4), self.memory.read(register, 2) + 1)
        else:
            raise AssertionError(f"unknown opcode {opcode:#x} before {self.ip:#x}")
        return ""

    def interrupt(self, vector: int, flags: int = 0x246) -> None:
        """What the processor does on an interrupt or an exception; then run until it halts again."""
        base, size = self.tables["idt"]
        assert 8 * vector + 8 <= size
        gate = struct.pack("<Q", self.memory.read(base + 8 * vector, 8))
        offset_low, selector, _, attributes, offset_high = struct.unpack("<HHBBH", gate)
        assert attributes == 0x8E, "a present 32-bit interrupt gate of ring 0"
        for value in (flags, self.cs, self.ip):
            self.esp -= 4
            self.memory.write(self.esp, 4, value)
        self.interrupts = False
        self.cs, self.ip = selector, offset_high << 16 | offset_low
        self.run()


class Aarch64:
    """The subset of an aarch64 that the guest uses, MMU off; `wfi` returns to the caller of `run`."""

    def __init__(self, image: bytes, address: int, frequency: int = 62_500_000) -> None:
        self.memory = Memory(address, image)
        self.pc = address
        self.x = [0x0123456789ABCDEF] * 31 + [0]
        self.system = {"cntfrq": frequency}
        self.masked = 0
        self.stores: list[tuple[int, int, int]] = []
        self.armed: list[int] = []

    def run(self, limit: int = 200 + FILLING) -> None:
        """Run until the processor waits for an interrupt."""
        for _ in range(limit):
            if self.step() == "wfi":
                return
        raise AssertionError(f"not waiting after {limit} instructions, at {self.pc:#x}")

    def store(self, address: int, size: int, value: int) -> None:
        self.stores.append((address, size, value))
        self.memory.write(address, size, value)

    def step(self) -> str:
        word = self.memory.read(self.pc, 4)
        here, self.pc = self.pc, self.pc + 4
        d, n, m = word & 31, word >> 5 & 31, word >> 16 & 31
        imm12, imm16, half = word >> 10 & 0xFFF, word >> 5 & 0xFFFF, (word >> 21 & 3) * 16
        if word == 0xD503207F:
            return "wfi"
        if word in (0xD5033FDF, 0xD5033F9F):  # isb; dsb sy
            pass
        elif word & 0xFFFFF0FF == 0xD50340DF:  # msr daifset, #imm4
            self.masked |= word >> 8 & 15
        elif word >> 23 == 0b110100101:  # movz
            self.x[d] = imm16 << half
        elif word >> 23 == 0b111100101:  # movk
            self.x[d] = self.x[d] & ~(0xFFFF << half) | imm16 << half
        elif word >> 22 == 0b1001000100:  # add, 64-bit, immediate, not shifted
            self.x[d] = self.x[n] + imm12 & (1 << 64) - 1
        elif word >> 22 == 0b1101000100:  # sub, likewise
            self.x[d] = self.x[n] - imm12 & (1 << 64) - 1
        elif word >> 21 == 0b00001011000 and imm12 & 63 == 0:  # add, 32-bit, registers, not shifted
            self.x[d] = self.x[n] + self.x[m] & 0xFFFFFFFF
        elif word >> 21 == 0b10011010110 and word >> 10 & 63 == 2:  # udiv, 64-bit
            self.x[d] = self.x[n] // self.x[m]
        elif word >> 22 == 0b1111100101:  # ldr, 64-bit, unsigned offset
            self.x[d] = self.memory.read(self.x[n] + 8 * imm12, 8)
        elif word >> 22 == 0b1111100100:  # str, 64-bit
            self.store(self.x[n] + 8 * imm12, 8, self.x[d])
        elif word >> 22 == 0b1011100100:  # str, 32-bit
            self.store(self.x[n] + 4 * imm12, 4, self.x[d] & 0xFFFFFFFF)
        elif word >> 20 == 0xD53:  # mrs
            self.x[d] = self.system[SYSTEM_REGISTERS[word >> 5 & 0x7FFF]]
        elif word >> 20 == 0xD51:  # msr
            self.write_system(SYSTEM_REGISTERS[word >> 5 & 0x7FFF], self.x[d])
        elif word >> 26 == 0b000101:  # b
            self.pc = here + 4 * self.signed(word, 26)
        elif word >> 24 == 0b00110110:  # tbz, bits 0 to 31
            if not self.x[d] >> (word >> 19 & 31) & 1:
                self.pc = here + 4 * self.signed(word >> 5, 14)
        elif word >> 24 == 0b10110101:  # cbnz, 64-bit
            if self.x[d]:
                self.pc = here + 4 * self.signed(word >> 5, 19)
        elif word & 0x9F000000 == 0x10000000:  # adr
            self.x[d] = here + (self.signed(word >> 5, 19) << 2 | word >> 29 & 3)
        else:
            raise AssertionError(f"unknown instruction {word:#010x} at {here:#x}")
        return ""

    @staticmethod
    def signed(value: int, bits: int) -> int:
        value &= (1 << bits) - 1
        return value - (1 << bits) if value >> (bits - 1) else value

    def write_system(self, name: str, value: int) -> None:
        self.system[name] = value
        if name == "cntv_tval":
            self.armed.append(value)
            self.system["cntv_ctl"] = self.system.get("cntv_ctl", 0) & ~4  # ISTATUS falls

    def timer_fires(self) -> None:
        assert self.system["cntv_ctl"] & 3 == 1, "the timer is enabled and not masked"
        self.system["cntv_ctl"] |= 4  # ISTATUS
        self.run()


def image(arch: str, pattern_size: int = SMALL) -> bytes:
    """A guest's image, but with a pattern of this size."""
    built = guest.build(arch)
    return GENERATORS[arch].image(
        guest.MAGIC, built.magic_address, built.counter_address, guest.TICK_HZ, built.pattern_address, pattern_size
    )


def started_x86(pattern_size: int = SMALL) -> X86:
    machine = X86(image("x86_64", pattern_size))
    machine.run(200 + FILLING * pattern_size // SMALL)
    return machine


def started_aarch64(address: int = aarch64.LOAD_ADDRESS, pattern_size: int = SMALL) -> Aarch64:
    machine = Aarch64(image("aarch64", pattern_size), address)
    machine.run(200 + FILLING * pattern_size // SMALL)
    return machine


def started_s390x(pattern_size: int = SMALL) -> S390xProcessor:
    machine = S390xProcessor(image("s390x", pattern_size))
    machine.run(200 + FILLING * pattern_size // SMALL)
    return machine


def started(arch: str, pattern_size: int = SMALL) -> Union[X86, Aarch64, S390xProcessor]:
    if arch == "s390x":
        return started_s390x(pattern_size)
    return started_x86(pattern_size) if arch == "x86_64" else started_aarch64(pattern_size=pattern_size)


# --- all guests


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_guest_describes_itself(arch: str) -> None:
    built = guest.build(arch)
    assert built == guest.build(arch)
    assert built.file_name == f"guest-{arch}.img"
    with pytest.raises(dataclasses.FrozenInstanceError):
        built.file_name = "other"  # type: ignore[misc]


def test_an_unknown_architecture_is_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match="architecture") as caught:
        guest.build("riscv64")
    assert str(caught.value) == (
        "the lab has no guest kernel for architecture 'riscv64': choose one of aarch64, s390x, x86_64"
    )


def test_the_kernels_are_less_than_a_kilobyte() -> None:
    assert 64 < len(guest.build("aarch64").image) < 1024
    assert 64 < len(guest.build("s390x").image) < 1024
    assert 64 < len(X86(guest.build("x86_64").image).memory.bytes) < 1024


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_status_page_is_in_the_first_16_mib_of_ram_and_apart_from_the_image(arch: str) -> None:
    built = guest.build(arch)
    assert built.magic_address % PAGE == 0
    assert built.counter_address == built.magic_address + 8
    assert built.ram_base <= built.magic_address <= built.ram_base + 16 * MIB - PAGE
    # QEMU places the multiboot structures right after the image: leave it some pages.
    assert built.load_address + len(built.image) + 16 * PAGE < built.magic_address


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_pattern_is_8_mib_between_the_status_page_and_the_end_of_ram(arch: str) -> None:
    built = guest.build(arch)
    assert built.pattern_size == 8 * MIB
    assert built.pattern_address % MIB == 0
    assert built.magic_address + 2 * PAGE <= built.pattern_address, "the x86 stack is in the second page"
    assert built.pattern_address + built.pattern_size <= built.ram_base + 16 * MIB - MIB, "firmware has its tables there"
    assert built.pattern_size % (4 * pattern.WORDS_A_ROUND) == 0, "or the guest would miss the end"


@functools.cache
def expected_words(size: int) -> list[int]:
    return [word % 2**32 for word in range(pattern.FIRST_WORD, pattern.FIRST_WORD + size // 4 * pattern.STEP, pattern.STEP)]


def test_no_two_words_of_the_pattern_are_equal() -> None:
    words = expected_words(8 * MIB)
    assert len(set(words)) == 2 * MIB
    assert not any(len(set(struct.pack("<I", word))) == 1 for word in words[:1024]), "nor is it one repeated byte"


def test_pattern_digest_is_that_of_the_words_and_quick() -> None:
    pattern.digest.cache_clear()
    begin = time.process_time()
    found = pattern.digest(guest.build("x86_64").pattern_size)
    assert time.process_time() - begin < 1
    words = expected_words(8 * MIB)
    assert found == hashlib.sha1(struct.pack(f"<{len(words)}I", *words)).hexdigest()
    begin = time.process_time()
    assert pattern.digest(guest.build("aarch64").pattern_size) == found
    assert time.process_time() - begin < 0.05, "remembered"


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_guest_writes_the_pattern_once_before_the_counter_and_the_magic(arch: str) -> None:
    built = guest.build(arch)
    machine = started(arch)
    end = built.pattern_address + SMALL
    # Below are aarch64's devices and, in its image, the clock that s390x stores.
    stores = [store for store in machine.memory.stores if store[0] >= built.load_address + len(built.image)]
    assert stores[:SMALL // 4] == [(address, 4) for address in range(built.pattern_address, end, 4)]
    assert {address for address, _ in stores[SMALL // 4:]} <= set(range(built.magic_address, built.magic_address + 16))
    assert stores[-1][0] == built.magic_address
    assert [machine.memory.read(address, 4) for address in range(built.pattern_address, end, 4)] == expected_words(SMALL)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_guest_differs_from_one_with_less_pattern_in_one_number(arch: str) -> None:
    """What is shown here of a small pattern holds for the real one."""
    size = 64 * 1024  # as many instructions as for the real one load this number into a register
    machine = started(arch, size)
    begin = guest.build(arch).pattern_address
    found = struct.pack(f"<{size // 4}I", *(machine.memory.read(begin + offset, 4) for offset in range(0, size, 4)))
    assert hashlib.sha1(found).hexdigest() == pattern.digest(size)
    if arch == "x86_64":  # cmp edi, <end>
        small_number, number = (b"\x81\xff" + struct.pack("<I", begin + each) for each in (size, guest.PATTERN_SIZE))
    elif arch == "s390x":  # the number of rounds, after the step
        rounds = (each // 4 // pattern.WORDS_A_ROUND for each in (size, guest.PATTERN_SIZE))
        small_number, number = (struct.pack(">QQ", pattern.STEP, each) for each in rounds)
    else:  # movk x3, #<size>, lsl #16
        small_number, number = (struct.pack("<I", 0xF2A00003 | each >> 16 << 5) for each in (size, guest.PATTERN_SIZE))
    small = image(arch, size)
    assert small.count(small_number) == 1
    assert small.replace(small_number, number) == guest.build(arch).image


def test_the_magic_is_eight_bytes_that_memory_does_not_hold_by_chance() -> None:
    assert len(guest.MAGIC) == 8
    assert len(set(guest.MAGIC)) > 4


# --- x86_64: header


def test_x86_multiboot_header() -> None:
    built = guest.build("x86_64")
    magic, flags, checksum, header, load, load_end, bss_end, entry = struct.unpack("<8I", built.image[:32])
    assert magic == 0x1BADB002
    assert flags == 1 << 16, "the address fields count, nothing else is asked for"
    assert (magic + flags + checksum) % 2**32 == 0
    assert header == load == built.load_address == 0x100000
    assert load < load_end < load + len(built.image), "the firmware's code is not loaded"
    assert bss_end == load_end, "QEMU 1.x and 2.x compute the size from bss_end, 0 or not"
    assert load + 32 <= entry < load_end


def test_x86_image_is_not_taken_for_a_linux_kernel() -> None:
    image = guest.build("x86_64").image
    assert len(image) >= 0x206, "an old QEMU reads these bytes from its stack if the file has none"
    assert image[0x202:0x206] != b"HdrS"


# --- x86_64: as firmware


def test_x86_firmware_copies_the_kernel_and_enters_it() -> None:
    built = guest.build("x86_64")
    rom, base = built.image, 0xF0000
    _, _, _, _, load, load_end, _, entry = struct.unpack("<8I", rom[:32])
    assert len(rom) == 64 * 1024, "QEMU takes no firmware that is not a multiple of 64 KiB"

    # The first instruction is at 0xfff0 and in 16-bit code, as all up to the far jump: cs is the ROM's.
    opcode, distance = struct.unpack_from("<Bh", rom, 0xFFF0)
    start = 0xFFF3 + distance & 0xFFFF
    assert opcode == 0xE9 and load_end - load <= start < 0xFFF0
    #  cli; lgdtd cs:OFFSET; mov eax,cr0; or al,0x1; mov cr0,eax; jmp 0x8:ADDRESS  (objdump -m i8086)
    code = rom[start:start + 24]
    assert code[:6].hex(" ") == "fa 66 2e 0f 01 16" and code[8:18].hex(" ") == "0f 20 c0 0c 01 0f 22 c0 66 ea"
    (register,), (address, selector) = struct.unpack_from("<H", code, 6), struct.unpack_from("<IH", code, 18)
    limit, table = struct.unpack_from("<HI", rom, register)
    in_kernel = started_x86().tables["gdt"]
    assert limit == in_kernel[1] - 1 and table - base == in_kernel[0] - load, "the kernel's table, where the ROM has it"
    assert (address, selector) == (base + start + 24, 8)

    machine = X86(rom)
    machine.memory = Memory(base, rom)
    machine.ip = address
    for _ in range(20):
        if machine.ip == entry:
            break
        machine.step()
    assert machine.ip == entry
    assert bytes(machine.memory.bytes[each] for each in range(load, load_end)) == rom[:load_end - load]
    assert machine.segments == {0: 16, 3: 16}
    others = [store for store in machine.memory.stores if not load <= store[0] < load_end]
    assert others == [(0xFEE000F0, 4), (0xFEE00350, 4)], "nothing else but the local APIC's registers"
    assert machine.memory.read(0xFEE000F0, 4) == 0x1FF, "the APIC is enabled"
    assert machine.memory.read(0xFEE00350, 4) == 0x700, "LINT0: ExtINT, not masked"


# --- x86_64: tables and start-up


def test_x86_gdt_has_flat_code_and_data() -> None:
    machine = started_x86()
    base, size = machine.tables["gdt"]
    assert size == 3 * 8
    assert machine.memory.read(base, 8) == 0
    for selector, access in ((machine.cs, 0x9B), (machine.segments[3], 0x93)):
        descriptor = struct.pack("<Q", machine.memory.read(base + selector, 8))
        limit_low, base_low, base_middle, found, high, base_high = struct.unpack("<HHBBBB", descriptor)
        assert (base_low, base_middle, base_high) == (0, 0, 0)
        assert (limit_low, high & 0xF) == (0xFFFF, 0xF)
        assert high >> 4 == 0xC, "4 KiB granularity, 32-bit"
        assert found == access, "present, ring 0, code readable / data writable, accessed"


def test_x86_loads_every_segment_register() -> None:
    machine = started_x86()
    assert machine.cs == 8
    assert machine.segments == dict.fromkeys((0, 2, 3, 4, 5), 16)  # es ss ds fs gs


def test_x86_idt_leads_every_vector_into_the_image() -> None:
    machine = started_x86()
    base, size = machine.tables["idt"]
    assert size == 48 * 8
    image = range(x86_64.LOAD_ADDRESS, x86_64.LOAD_ADDRESS + len(guest.build("x86_64").image))
    for vector in range(48):
        gate = struct.pack("<Q", machine.memory.read(base + 8 * vector, 8))
        low, selector, zero, attributes, high = struct.unpack("<HHBBH", gate)
        assert (selector, zero, attributes) == (8, 0, 0x8E)
        assert high << 16 | low in image


def test_x86_programs_interrupt_controllers_and_timer() -> None:
    ports = started_x86().ports
    pic1 = [(port, value) for port, value in ports if port in (0x20, 0x21)]
    pic2 = [(port, value) for port, value in ports if port in (0xA0, 0xA1)]
    # Command port: ICW1. Data port: ICW2 (vectors from 0x20, from 0x28), ICW3, ICW4, then the mask: only IRQ 0 passes.
    assert pic1 == [(0x20, 0x11), (0x21, 0x20), (0x21, 0x04), (0x21, 0x01), (0x21, 0xFE)]
    assert pic2 == [(0xA0, 0x11), (0xA1, 0x28), (0xA1, 0x02), (0xA1, 0x01), (0xA1, 0xFF)]
    pit = [(port, value) for port, value in ports if 0x40 <= port <= 0x43]
    assert [port for port, _ in pit] == [0x43, 0x40, 0x40]
    assert pit[0][1] == 0b00_11_010_0, "channel 0, both bytes, mode 2, binary"
    assert 1193182 / (pit[1][1] | pit[2][1] << 8) == pytest.approx(guest.TICK_HZ, rel=1e-3)


# --- x86_64: at work


def test_x86_shows_magic_and_zero_before_the_first_tick() -> None:
    built = guest.build("x86_64")
    machine = X86(image("x86_64"))
    machine.memory.write(built.counter_address, 8, 2**64 - 1)  # what a reset may leave behind
    machine.run()
    assert machine.memory.read(built.magic_address, 8).to_bytes(8, "little") == guest.MAGIC
    assert machine.memory.read(built.counter_address, 8) == 0
    assert machine.interrupts


def test_x86_counts_every_timer_interrupt_and_acknowledges_it() -> None:
    built = guest.build("x86_64")
    machine = started_x86()
    stack = machine.esp
    for expected in range(1, 6):
        machine.ports.clear()
        machine.interrupt(0x20)
        assert machine.memory.read(built.counter_address, 8) == expected
        assert machine.ports == [(0x20, 0x20)], "one end of interrupt"
        assert machine.interrupts
        assert machine.esp == stack, "the stack does not grow from tick to tick"


def test_x86_halts_again_when_a_halt_ends_without_an_interrupt() -> None:
    built = guest.build("x86_64")
    machine = started_x86()
    machine.run()  # what follows a system management interrupt
    assert machine.interrupts
    assert machine.memory.read(built.counter_address, 8) == 0


def test_x86_counter_is_64_bits_wide() -> None:
    built = guest.build("x86_64")
    machine = started_x86()
    machine.memory.write(built.counter_address, 8, 0x1_FFFF_FFFF)
    machine.interrupt(0x20)
    assert machine.memory.read(built.counter_address, 8) == 0x2_0000_0000


@pytest.mark.parametrize("vector", range(0x21, 0x30))
def test_x86_ignores_a_spurious_interrupt(vector: int) -> None:
    built = guest.build("x86_64")
    machine = started_x86()
    machine.ports.clear()
    machine.interrupt(vector)
    assert machine.memory.read(built.counter_address, 8) == 0
    assert machine.ports == []
    machine.interrupt(0x20)
    assert machine.memory.read(built.counter_address, 8) == 1


@pytest.mark.parametrize("vector", range(32))
def test_x86_halts_for_good_on_an_exception(vector: int) -> None:
    machine = started_x86()
    machine.interrupt(vector)
    for _ in range(3):
        assert not machine.interrupts
        machine.run()  # an NMI ends the halt; the guest halts again


def test_x86_writes_only_its_pattern_its_two_status_fields_and_its_stack() -> None:
    built = guest.build("x86_64")
    machine = started_x86()
    for vector in (0x20, 0x27, 0x20):
        machine.interrupt(vector)
    fields = set(range(built.magic_address, built.magic_address + 16))
    stack = set(range(built.magic_address + PAGE, built.magic_address + 2 * PAGE))
    filled = set(range(built.pattern_address, built.pattern_address + SMALL))
    assert fields | filled <= machine.memory.written <= fields | filled | stack


# --- aarch64: header


def test_aarch64_image_header() -> None:
    built = guest.build("aarch64")
    fields = struct.unpack("<IIQQQQQQ4sI", built.image[:64])
    code0, code1, text_offset, image_size, flags = fields[:5]
    assert code0 == 0b000101 << 26 | 64 // 4, "b, over the header"
    assert code1 == 0
    # 0x80000 is where QEMU places an image whose header it does not read; below 4 KiB it would move the image.
    assert built.load_address - built.ram_base == text_offset == 0x80000
    assert image_size == len(built.image)
    assert flags == 0, "little endian"
    assert fields[5:8] == (0, 0, 0)
    assert fields[8:] == (b"ARMd", 0)


# --- aarch64: at work


def test_aarch64_sets_up_the_interrupt_controller_and_the_timer() -> None:
    machine = started_aarch64()
    assert machine.masked == 0xF, "debug, SError, IRQ and FIQ"
    gic = {address: value for address, size, value in machine.stores if address < aarch64.RAM_BASE}
    assert gic == {
        0x08000100: 1 << 27,  # GICD_ISENABLER0: the virtual timer's interrupt
        0x08000000: 1,  # GICD_CTLR
        0x08010004: 0xFF,  # GICC_PMR
        0x08010000: 1,  # GICC_CTLR
    }
    assert machine.system["cntv_ctl"] == 1
    assert machine.armed == [625_000]


def test_aarch64_shows_magic_and_zero_before_the_first_tick() -> None:
    built = guest.build("aarch64")
    machine = started_aarch64()
    status = [store for store in machine.stores if store[1] == 8]
    assert status == [(built.counter_address, 8, 0), (built.magic_address, 8, int.from_bytes(guest.MAGIC, "little"))]


def test_aarch64_counts_when_the_timer_fired_and_arms_it_again() -> None:
    built = guest.build("aarch64")
    machine = started_aarch64()
    for expected in range(1, 6):
        machine.armed.clear()
        machine.timer_fires()
        assert machine.memory.read(built.counter_address, 8) == expected
        assert machine.armed == [625_000]
        assert not machine.system["cntv_ctl"] & 4


def test_aarch64_does_not_count_when_wfi_returns_for_another_reason() -> None:
    built = guest.build("aarch64")
    machine = started_aarch64()
    machine.armed.clear()
    machine.run()
    assert machine.memory.read(built.counter_address, 8) == 0
    assert machine.armed == []


def test_aarch64_counter_lives_in_memory_and_is_64_bits_wide() -> None:
    built = guest.build("aarch64")
    machine = started_aarch64()
    machine.memory.write(built.counter_address, 8, 0xFFFF_FFFF)
    machine.timer_fires()
    assert machine.memory.read(built.counter_address, 8) == 0x1_0000_0000


@pytest.mark.parametrize("frequency", [24_000_000, 62_500_000, 1_000_000_000])
def test_aarch64_takes_the_period_from_the_timer_frequency(frequency: int) -> None:
    built = guest.build("aarch64")
    machine = Aarch64(image("aarch64"), built.load_address, frequency)
    machine.run()
    assert machine.armed == [frequency // guest.TICK_HZ]


@pytest.mark.parametrize("address", [aarch64.RAM_BASE, aarch64.RAM_BASE + 2 * MIB + aarch64.TEXT_OFFSET])
def test_aarch64_runs_wherever_it_is_put(address: int) -> None:
    built = guest.build("aarch64")
    machine = started_aarch64(address)
    machine.timer_fires()
    assert machine.memory.read(built.counter_address, 8) == 1
    assert machine.system["vbar"] == address


def test_aarch64_halts_for_good_on_an_exception() -> None:
    built = guest.build("aarch64")
    machine = started_aarch64()
    assert machine.system["vbar"] % 2048 == 0
    machine.pc = machine.system["vbar"] + 0x200  # synchronous, current exception level, its own stack pointer
    machine.system["cntv_ctl"] |= 4
    for _ in range(3):
        machine.run()
    assert machine.memory.read(built.counter_address, 8) == 0


# --- encoders: what objdump (binutils 2.40) says about these bytes

KNOWN_X86 = [
    (x86_64.CLI, "fa"),
    (x86_64.STI, "fb"),
    (x86_64.HLT, "f4"),
    (x86_64.mov_al(0x34), "b0 34"),  # mov al,0x34
    (x86_64.mov("eax", 0x10), "b8 10 00 00 00"),  # mov eax,0x10
    (x86_64.CLD, "fc"),
    (x86_64.STOSD, "ab"),  # stos DWORD PTR es:[edi],eax
    (x86_64.mov("edi", 0x400000), "bf 00 00 40 00"),  # mov edi,0x400000
    (x86_64.mov("ecx", 0x2A8), "b9 a8 02 00 00"),  # mov ecx,0x2a8
    (x86_64.mov("esi", 0xF0000), "be 00 00 0f 00"),  # mov esi,0xf0000
    (x86_64.REP_MOVSB, "f3 a4"),  # rep movs BYTE PTR es:[edi],BYTE PTR ds:[esi]
    (x86_64.add_eax(0x9E3779B1), "05 b1 79 37 9e"),  # add eax,0x9e3779b1
    (x86_64.cmp_edi(0xC00000), "81 ff 00 00 c0 00"),  # cmp edi,0xc00000
    (x86_64.jne_back(0x36), "75 c8"),  # at 0x100249: jne 0x100213
    (x86_64.mov("esp", 0x202000), "bc 00 20 20 00"),  # mov esp,0x202000
    (x86_64.mov_segment_eax("es"), "8e c0"),
    (x86_64.mov_segment_eax("ss"), "8e d0"),
    (x86_64.mov_segment_eax("ds"), "8e d8"),
    (x86_64.mov_segment_eax("fs"), "8e e0"),
    (x86_64.mov_segment_eax("gs"), "8e e8"),
    (x86_64.mov_dword(0x200004, 0x3142414C), "c7 05 04 00 20 00 4c 41 42 31"),  # mov DWORD PTR ds:0x200004,0x3142414c
    (x86_64.add_dword(0x200008, 1), "83 05 08 00 20 00 01"),  # add DWORD PTR ds:0x200008,0x1
    (x86_64.adc_dword(0x20000C, 0), "83 15 0c 00 20 00 00"),  # adc DWORD PTR ds:0x20000c,0x0
    (x86_64.out_al(0xA1), "e6 a1"),  # out 0xa1,al
    (x86_64.lgdt(0x100038), "0f 01 15 38 00 10 00"),  # lgdtd ds:0x100038
    (x86_64.lidt(0x1001DD), "0f 01 1d dd 01 10 00"),  # lidtd ds:0x1001dd
    (x86_64.jmp_far(8, 0x1001F2), "ea f2 01 10 00 08 00"),  # jmp 0x8:0x1001f2
    (x86_64.jmp_back(7), "eb f7"),  # at 0x10005b: jmp 0x100054
    (x86_64.jmp_near(0x100054 - 0x100265), "e9 ef fd ff ff"),  # at 0x100260: jmp 0x100054
]

KNOWN_AARCH64 = [
    (aarch64.WFI, 0xD503207F),
    (aarch64.ISB, 0xD5033FDF),
    (aarch64.DSB_SY, 0xD5033F9F),
    (aarch64.MSR_DAIFSET_ALL, 0xD5034FDF),  # msr daifset, #0xf
    (aarch64.movz(3, 0xFF), 0xD2801FE3),  # mov x3, #0xff
    (aarch64.movz(3, 0x1234, 16), 0xD2A24683),  # mov x3, #0x12340000
    (aarch64.movk(1, 0x4020, 16), 0xF2A80401),  # movk x1, #0x4020, lsl #16
    (aarch64.movk(3, 0x3142, 48), 0xF2E62843),  # movk x3, #0x3142, lsl #48
    (aarch64.adr(3, -0x44), 0x10FFFDE3),  # at 0x40080044: adr x3, 0x40080000
    (aarch64.add(3, 3, 1), 0x91000463),  # add x3, x3, #0x1
    (aarch64.add_w(5, 5, 6), 0x0B0600A5),  # add w5, w5, w6
    (aarch64.sub(3, 3, 0x20), 0xD1008063),  # sub x3, x3, #0x20
    (aarch64.cbnz(3, -18), 0xB5FFFDC3),  # at 0x400800e8: cbnz x3, 0x400800a0
    (aarch64.udiv(2, 2, 3), 0x9AC30842),  # udiv x2, x2, x3
    (aarch64.ldr(3, 1, 8), 0xF9400423),  # ldr x3, [x1, #8]
    (aarch64.str_(3, 1, 8), 0xF9000423),  # str x3, [x1, #8]
    (aarch64.str_(aarch64.XZR, 1, 8), 0xF900043F),  # str xzr, [x1, #8]
    (aarch64.str_w(3, 1, 0x100), 0xB9010023),  # str w3, [x1, #256]
    (aarch64.mrs(2, aarch64.CNTFRQ_EL0), 0xD53BE002),  # mrs x2, cntfrq_el0
    (aarch64.mrs(4, aarch64.CNTV_CTL_EL0), 0xD53BE324),  # mrs x4, cntv_ctl_el0
    (aarch64.msr(aarch64.CNTV_TVAL_EL0, 2), 0xD51BE302),  # msr cntv_tval_el0, x2
    (aarch64.msr(aarch64.VBAR_EL1, 3), 0xD518C003),  # msr vbar_el1, x3
    (aarch64.tbz(4, 2, -2), 0x3617FFC4),  # at 0x400800c8: tbz w4, #2, 0x400800c0
    (aarch64.b(-8), 0x17FFFFF8),  # at 0x400800e0: b 0x400800c0
    (aarch64.b(16), 0x14000010),  # at 0x40080000: b 0x40080040
]


@pytest.mark.parametrize(("encoded", "known"), KNOWN_X86, ids=[known for _, known in KNOWN_X86])
def test_x86_encoder(encoded: bytes, known: str) -> None:
    assert encoded.hex(" ") == known


@pytest.mark.parametrize(("encoded", "known"), KNOWN_AARCH64, ids=[f"{known:08x}" for _, known in KNOWN_AARCH64])
def test_aarch64_encoder(encoded: int, known: int) -> None:
    assert encoded == known
