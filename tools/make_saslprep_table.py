#!/usr/bin/env python3
"""Writes pg/src/saslprep_table.c: what SASLprep (RFC 4013) needs to know of Unicode.

    tools/make_saslprep_table.py > pg/src/saslprep_table.c

Reads the Unicode data of Debian's package unicode-data. RFC 3454 knows Unicode 3.2, so characters
that came later are refused, and nothing else needs to be known of them. Its lists that no property
of Unicode's gives stand here as they stand there.
"""
DATA = "/usr/share/unicode/"
LAST = 0x10FFFF

# RFC 3454, tables C.1.2 (with what was a space in Unicode 3.2), B.1, and C.2.1 to C.9.
SPACES = [0xA0, 0x1680, *range(0x2000, 0x200C), 0x202F, 0x205F, 0x3000]
NOTHING = [0xAD, 0x34F, 0x1806, *range(0x180B, 0x180E), *range(0x200B, 0x200E), 0x2060,
           *range(0xFE00, 0xFE10), 0xFEFF]
PROHIBITED = [
    *range(0x20), 0x7F, *range(0x80, 0xA0), 0x6DD, 0x70F, 0x180E, 0x200C, 0x200D, 0x2028, 0x2029,
    *range(0x2060, 0x2064), *range(0x206A, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFE),
    *range(0x1D173, 0x1D17B), *range(0xE000, 0xF900), *range(0xF0000, 0xFFFFE),
    *range(0x100000, 0x10FFFE), *range(0xFDD0, 0xFDF0),
    *[plane << 16 | low for plane in range(17) for low in (0xFFFE, 0xFFFF)],
    *range(0xD800, 0xE000), *range(0x2FF0, 0x2FFC), 0x340, 0x341, 0x200E, 0x200F,
    *range(0x202A, 0x202F), 0xE0001, *range(0xE0020, 0xE0080),
]


# Directions that Unicode has changed since 3.2: tables D.1 and D.2 keep the old ones.
LEFT_THEN = [0x17B4, 0x17B5, 0x1885, 0x1886, 0x1D6DB, 0x1D715, 0x1D74F, 0x1D789, 0x1D7C3]
LEFT_NOW = [0xCBF, 0xCC6, 0x1734, 0x2132, *range(0x2800, 0x2900), 0x302E, 0x302F]


def rows(name):
    with open(DATA + name, encoding="utf-8") as file:
        for line in file:
            line = line.split("#")[0].strip()
            if line:
                yield [field.strip() for field in line.split(";")]


def span(text):
    ends = [int(end, 16) for end in text.split("..")]
    return range(ends[0], ends[-1] + 1)


def read_known():
    """The code points that Unicode 3.2 assigns."""
    return {code for codes, age in rows("DerivedAge.txt")
            if tuple(map(int, age.split("."))) <= (3, 2) for code in span(codes)}


def read_characters():
    """Class, direction and decomposition of each code point."""
    characters, first = {}, 0
    for row in rows("UnicodeData.txt"):
        code, name = int(row[0], 16), row[1]
        if name.endswith("First>"):
            first = code
            continue
        codes = range(first, code + 1) if name.endswith("Last>") else [code]
        for each in codes:
            characters[each] = (int(row[3]), row[4], row[5])
    return characters


def ranges_of(codes):
    ranges = []
    for code in sorted(codes):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return ranges


def emit(kind, name, entries, form):
    print(f"\nconst {kind} PG_SASLPREP_{name}[PG_SASLPREP_{name}_COUNT] = {{")
    line = "   "
    for entry in entries:
        text = " " + form(entry) + ","
        if len(line) + len(text) > 100:
            print(line)
            line = "   "
        line += text
    print(line + "\n};")


def number(value):
    return f"0x{value:X}"


def braced(values):
    return "{" + ",".join(map(number, values)) + "}"


def main():
    known, characters = read_known(), read_characters()
    excluded = {code for (codes,) in rows("CompositionExclusions.txt") for code in span(codes)}
    prohibited = set(PROHIBITED) | (set(range(LAST + 1)) - known)
    used = sorted(code for code in known if code in characters and code not in prohibited)

    canonical, expansions = {}, {}

    def expand(code):
        mapping = characters.get(code, (0, "L", ""))[2]
        if not mapping:
            return [code]
        parts = mapping.split()
        return [x for part in parts if part[0] != "<" for x in expand(int(part, 16))]

    for code in used:
        mapping = characters[code][2]
        if not mapping:
            continue
        expansions[code] = expand(code)
        parts = [int(part, 16) for part in mapping.split()] if mapping[0] != "<" else []
        if len(parts) == 2 and code not in excluded and characters[code][0] == 0 and \
                characters[parts[0]][0] == 0:
            canonical[code] = parts

    # Letters in other dresses come in runs, each as far from the plain letter as the one before.
    runs = []
    for code, to in sorted(expansions.items()):
        if len(to) == 1:
            last = runs[-1] if runs else None
            if last and code == last[0] + last[1] and to[0] == last[2] + last[1]:
                last[1] += 1
            else:
                runs.append([code, 1, to[0]])
    pool, places = [], []
    for code, to in sorted(expansions.items()):
        if len(to) == 1:
            continue
        at = next((i for i in range(len(pool) - len(to) + 1) if pool[i:i + len(to)] == to), None)
        if at is None:
            at = len(pool)
            pool += to
        places.append([code, at, len(to)])

    classes = []
    for code in sorted(characters):
        ccc = characters[code][0]
        if ccc == 0 or code not in known:
            continue
        if classes and classes[-1][1] == code - 1 and classes[-1][2] == ccc:
            classes[-1][1] = code
        else:
            classes.append([code, code, ccc])

    print("/* Made by tools/make_saslprep_table.py: Unicode for SASLprep, see saslprep_table.h. */")
    print('#include "saslprep_table.h"\n\n// clang-format off')
    tables = [
        ("pg_code_range", "SPACES", ranges_of(set(SPACES) & known), braced),
        ("pg_code_range", "NOTHING", ranges_of(NOTHING), braced),
        ("pg_code_range", "REFUSED", ranges_of(prohibited), braced),
        ("pg_code_range", "RIGHT_TO_LEFT",
         ranges_of(c for c in known & set(characters) if characters[c][1] in ("R", "AL")), braced),
        ("pg_code_range", "LEFT_TO_RIGHT",
         ranges_of({c for c in known & set(characters) if characters[c][1] == "L"}
                   .difference(LEFT_NOW).union(LEFT_THEN)), braced),
        ("pg_code_class", "CLASSES", classes, braced),
        ("pg_code_run", "RUNS", runs, braced),
        ("pg_code_place", "PLACES", places, braced),
        ("uint32_t", "POOL", pool, number),
        ("pg_code_pair", "PAIRS",
         sorted([*parts, code] for code, parts in canonical.items()), braced),
    ]
    for kind, name, entries, form in tables:
        emit(kind, name, entries, form)
    print("// clang-format on")


main()
