# SPDX-License-Identifier: GPL-3.0-or-later
"""The pattern that a guest fills memory with, so that a check can see whether its memory arrived whole.

Word number i, 32 bits, little endian, is ``FIRST_WORD + i * STEP`` modulo 2**32. STEP is odd, so that no two words are
equal: a page that is missing, stale or in another's place shows, and QEMU cannot send a page as one repeated byte. The
words do not depend on the address, so that they are the same for every architecture.
"""

from __future__ import annotations

import hashlib
import struct
from functools import cache

FIRST_WORD = 0x4D4C6162
STEP = 0x9E3779B1

# The guests store so many words between two tests for the end. TCG needs 5 to 10 ms for 8 MiB, with 4, 8 or 16 alike.
WORDS_A_ROUND = 8


@cache
def digest(size: int) -> str:
    """SHA-1 of a pattern, as hexadecimal digits; takes about 0.2 s for 8 MiB, once.

    Args:
        size: the pattern's bytes.
    """
    count = size // 4
    sums = struct.pack(f"<{count}Q", *range(FIRST_WORD, FIRST_WORD + STEP * count, STEP))
    # Modulo 2**32: the lower half of each sum, faster than a remainder for each.
    return hashlib.sha1(memoryview(sums).cast("I")[::2].tobytes()).hexdigest()
