# SPDX-License-Identifier: GPL-3.0-or-later
"""The subset of a z/Architecture processor that the lab's s390x guest uses: it refuses any other instruction.

It decodes without the help of the generator's encoders, and begins as QEMU begins (hw/s390x/ipl.c): 64-bit addressing,
interruptions off, at the address in the second half of the PSW at 0.
"""

from __future__ import annotations

EXTERNAL_ENABLED = 1 << 56
WAIT = 1 << 49
ADDRESSING = 1 << 32 | 1 << 31
CLOCK_COMPARATOR = 0x800  # subclass mask in control register 0


class S390xMemory:
    """Guest-physical memory, big endian, that remembers what the guest wrote, in order: addresses and sizes."""

    def __init__(self, content: bytes) -> None:
        self.bytes = dict(enumerate(content))
        self.stores: list[tuple[int, int]] = []

    def raw(self, address: int, size: int) -> bytes:
        """Bytes as they lie in memory."""
        return bytes(self.bytes.get(address + offset, 0) for offset in range(size))

    def put(self, address: int, content: bytes) -> None:
        """Write without a trace in ``stores``."""
        self.bytes.update(enumerate(content, address))

    def read(self, address: int, size: int) -> int:
        """A little-endian number, as the lab reads one."""
        return int.from_bytes(self.raw(address, size), "little")

    def load(self, address: int, size: int) -> int:
        """A number as the processor reads it."""
        return int.from_bytes(self.raw(address, size), "big")

    def store(self, address: int, size: int, value: int, order: str = "big") -> None:
        """A number as the processor writes it, or as its instructions that reverse bytes do."""
        self.stores.append((address, size))
        self.put(address, value.to_bytes(size, "little" if order == "little" else "big"))

    @property
    def written(self) -> set[int]:
        return {address + offset for address, size in self.stores for offset in range(size)}


class S390xProcessor:
    """A processor whose clock stands still but for what a test adds to ``clock``."""

    def __init__(self, image: bytes, clock: int = 0xE000_0000_0000_0000) -> None:
        self.memory = S390xMemory(image)
        self.clock = clock
        self.comparator: int | None = None
        self.control = 0xE0  # register 0 after a reset
        self.registers = [0x0123_4567_89AB_CDEF] * 16
        self.mask = ADDRESSING
        self.address = self.memory.load(4, 4) & 0x7FFF_FFFF

    def run(self, limit: int = 2000) -> None:
        """Run until the processor waits."""
        for _ in range(limit):
            if self.mask & WAIT:
                return
            self.step()
        raise AssertionError(f"not waiting after {limit} instructions, at {self.address:#x}")

    def load_psw(self, address: int) -> None:
        assert address % 8 == 0, "a PSW is aligned"
        self.mask, self.address = self.memory.load(address, 8), self.memory.load(address + 8, 8)
        assert self.mask & ~(EXTERNAL_ENABLED | WAIT) == ADDRESSING, f"64-bit addressing, nothing else: {self.mask:#x}"

    def interrupt(self, old: int, new: int) -> None:
        """What the processor does on an interruption: store the PSW, load another."""
        self.memory.put(old, self.mask.to_bytes(8, "big") + self.address.to_bytes(8, "big"))
        self.load_psw(new)
        self.run()

    def clock_advances(self, units: int) -> None:
        """Let time pass; a clock comparator that is passed and enabled interrupts."""
        self.clock += units
        enabled = self.mask & EXTERNAL_ENABLED and self.control & CLOCK_COMPARATOR
        if enabled and self.comparator is not None and self.clock > self.comparator:
            self.interrupt(0x130, 0x1B0)

    def step(self) -> None:
        here, opcode = self.address, self.memory.load(self.address, 1)
        size = (2, 4, 4, 6)[opcode >> 6]
        word = self.memory.load(here, size)
        self.address += size
        if opcode == 0x1E:  # alr
            first, second = word >> 4 & 15, word & 15
            total = (self.registers[first] + self.registers[second]) & 0xFFFF_FFFF
            self.registers[first] = self.registers[first] & ~0xFFFF_FFFF | total
        elif opcode == 0x41:  # la
            assert word >> 16 & 15 == 0, "no index register"
            self.registers[word >> 20 & 15] = self._operand(word)
        elif opcode == 0xA7:
            self._immediate(here, word)
        elif opcode == 0xB2:
            self._clock_or_psw(word >> 16 & 0xFF, self._operand(word))
        elif opcode == 0xE3:
            assert word >> 32 & 15 == 0 and word >> 8 & 0xFF == 0, "no index register, no long displacement"
            self._storage(word & 0xFF, word >> 36 & 15, self._operand(word >> 16))
        elif opcode == 0xEB:  # lctlg
            assert word >> 32 & 0xFF == 0 and word & 0xFFFF == 0x002F, "of control register 0 alone"
            self.control = self.memory.load(self._operand(word >> 16), 8)
        else:
            raise AssertionError(f"unknown opcode {opcode:#x} at {here:#x}")

    def _operand(self, word: int) -> int:
        """The address in the lower 16 bits, of a base register and a displacement."""
        base = word >> 12 & 15
        return (self.registers[base] if base else 0) + (word & 0xFFF)

    def _immediate(self, here: int, word: int) -> None:
        register, kind = word >> 20 & 15, word >> 16 & 15
        value = (word & 0xFFFF) - (word >> 15 & 1) * 0x1_0000
        if kind == 0x7:  # brctg
            self.registers[register] = self.registers[register] - 1 & (1 << 64) - 1
            if self.registers[register]:
                self.address = here + 2 * value
        elif kind == 0x9:  # lghi
            self.registers[register] = value & (1 << 64) - 1
        elif kind == 0xB:  # aghi
            self.registers[register] = self.registers[register] + value & (1 << 64) - 1
        else:
            raise AssertionError(f"unknown instruction {word:#010x} at {here:#x}")

    def _clock_or_psw(self, code: int, address: int) -> None:
        if code == 0x05:  # stck
            self.memory.store(address, 8, self.clock)
        elif code == 0x06:  # sckc
            assert address % 8 == 0
            self.comparator = self.memory.load(address, 8)
        elif code == 0xB2:  # lpswe
            self.load_psw(address)
        else:
            raise AssertionError(f"unknown instruction b2{code:02x}")

    def _storage(self, code: int, register: int, address: int) -> None:
        value = self.registers[register]
        if code == 0x04:  # lg
            self.registers[register] = self.memory.load(address, 8)
        elif code == 0x08:  # ag
            self.registers[register] = value + self.memory.load(address, 8) & (1 << 64) - 1
        elif code == 0x0F:  # lrvg
            self.registers[register] = self.memory.read(address, 8)
        elif code == 0x24:  # stg
            self.memory.store(address, 8, value)
        elif code == 0x2F:  # strvg
            self.memory.store(address, 8, value, "little")
        elif code == 0x3E:  # strv
            self.memory.store(address, 4, value & 0xFFFF_FFFF, "little")
        else:
            raise AssertionError(f"unknown instruction e3..{code:02x}")
