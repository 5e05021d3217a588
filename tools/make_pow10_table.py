#!/usr/bin/env python3
"""Writes core/src/pow10_table.c: the 128-bit powers of ten that float8_format multiplies by.

Entry k holds the smallest g >= 10^k * 2^(127 - floor(log2(10^k))), its top bit set."""
from fractions import Fraction

K_MIN, K_MAX = -292, 324


def entry(k: int) -> int:
    power = Fraction(10) ** k
    log2 = power.numerator.bit_length() - power.denominator.bit_length()
    while Fraction(2) ** log2 > power:
        log2 -= 1
    while Fraction(2) ** (log2 + 1) <= power:
        log2 += 1
    scaled = power * Fraction(2) ** (127 - log2)
    return -(-scaled.numerator // scaled.denominator)


print("/* Made by tools/make_pow10_table.py: powers of ten for float8_format, see pow10_table.h. */")
print('#include "pow10_table.h"\n')
print("// clang-format off")
print("const pow10_entry POW10_TABLE[POW10_MAX - POW10_MIN + 1] = {")
for k in range(K_MIN, K_MAX + 1):
    g = entry(k)
    print(f"    {{ 0x{g >> 64:016X}U, 0x{g & (2**64 - 1):016X}U }}, /* {k} */")
print("};")
print("// clang-format on")
