#!/usr/bin/env python3
"""Makes the models of text and of binaries that `../frequency.rs` reads; README.md says what they hold.

    make_models.py --text FILE... --binaries FILE... --out FOLDER
    make_models.py [--text FILE...] [--binaries FILE...] --compare    with the models kept beside this program
    make_models.py --check    that models are as their reader takes them to be
"""

import argparse
import itertools
import math
import pathlib
import random
import sys
from bisect import bisect_left
from collections import Counter, namedtuple

HERE = pathlib.Path(__file__).resolve().parent
LAYOUT = HERE.parents[3] / "shaders/include/layout/tables.glsl"
GRAM_HASH = 0x9E3779B1  # as there
MOST_FREQUENT = 1024
FREQUENT_STEP = 3  # bytes; the most frequent grams are counted at every third
UNSEEN = 0.25  # added to the count of every byte and of every trigram, so that none is impossible


# Symbols, by byte, as `symbol_of_text` and `symbol_of_binaries` in frequency.rs have them.

def symbol_of_text(byte):
    """Letters without case, digits, white space, `_`, other ASCII graphics, control characters, and the rest."""
    if chr(byte).isascii() and chr(byte).isalpha():
        return (byte | 0x20) - ord("a")
    if byte in b"0123456789":
        return 26
    if byte in b" \t\n\r":
        return 27
    if byte == ord("_"):
        return 28
    if byte in range(0x21, 0x7F):
        return 29
    return 30 if byte < 0x80 else 31


def symbol_of_binaries(byte):
    """Small numbers, parts of text, and bytes that machine code and tables have about alike."""
    if chr(byte).isascii() and chr(byte).isalpha():
        return 9
    # The last byte of each symbol; 9 has none but the letters, which lie among the bytes of 8.
    return bisect_left([0, 1, 7, 0xF, 0x1F, 0x20, 0x2F, 0x39, 0x7E, 0x7E, 0x87, 0x8F, 0xBF, 0xDF, 0xFE, 0xFF], byte)


# A kind of data: the symbols of the 256 bytes, and the least frequency of a gram in its table.
Kind = namedtuple("Kind", "name symbols least_counted")
TEXT = Kind("text", bytes(map(symbol_of_text, range(256))), 2**-18)
BINARIES = Kind("binaries", bytes(map(symbol_of_binaries, range(256))), 1e-5)


# Makers: the samples, their kind and the part's size in bytes give the part.

def packed(frequency):
    """A frequency as a byte: -8 log2 of it, to the nearest. 0 says that there is none."""
    return min(max(round(-8 * math.log2(frequency)), 1), 255)


def unpacked(byte):
    return 2 ** (-byte / 8)


def windows(samples, length, step=1):
    """How often each string of `length` bytes begins at every `step`th byte; none goes from one sample to the next."""
    return Counter(
        sample[at : at + length] for sample in samples for at in range(0, len(sample) - length + 1, step)
    )


def smoothed(counts, strings):
    """The frequencies of all the strings, in their order."""
    total = sum(counts.values()) + UNSEEN * len(strings)
    return bytes(packed((counts[string] + UNSEEN) / total) for string in strings)


def single_bytes(samples, _kind, size):
    return smoothed(windows(samples, 1), [bytes([byte]) for byte in range(size)])


def trigrams(samples, kind, _size):
    """Three symbols in a row, the last one fastest."""
    symbols = [sample.translate(kind.symbols) for sample in samples]
    strings = itertools.product(range(max(kind.symbols) + 1), repeat=3)
    return smoothed(windows(symbols, 3), [bytes(string) for string in strings])


def slot(gram, size):
    """Where in a table of `size` bytes a gram is: by the high bits of its hash."""
    return (int.from_bytes(gram, "little") * GRAM_HASH & 0xFFFFFFFF) * size >> 32


def grams(samples, kind, size):
    """Four bytes in a row, letters in lower case, by their slots: of those in one slot the most frequent."""
    counts = windows([sample.lower() for sample in samples], 4)
    total = sum(counts.values())
    table = bytearray(size)
    often = [(count / total, gram) for gram, count in counts.items() if count / total >= kind.least_counted]
    # The least frequent first, for others to take their places.
    for frequency, gram in sorted(often):
        table[slot(gram, size)] = packed(frequency)
    return bytes(table)


def frequent(samples, _kind, _size):
    """The most frequent grams, letters in lower case, each with its frequency; of equals the one that came first."""
    counts = windows([sample.lower() for sample in samples], 4, FREQUENT_STEP)
    total = sum(counts.values())
    return b"".join(gram + bytes([packed(count / total)]) for gram, count in counts.most_common(MOST_FREQUENT))


# What the files consist of, one part after the other, and the parts' sizes in bytes.
Part = namedtuple("Part", "file kind make size")
PARTS = [
    Part("trigrams.bin", TEXT, trigrams, 32**3),
    Part("grams.bin", TEXT, grams, 1 << 16),
    Part("binaries.bin", BINARIES, single_bytes, 256),
    Part("binaries.bin", BINARIES, trigrams, 16**3),
    Part("binaries.bin", BINARIES, grams, 1 << 15),
    Part("frequent.bin", TEXT, frequent, 5 * MOST_FREQUENT),
    Part("frequent.bin", BINARIES, frequent, 5 * MOST_FREQUENT),
]


def made_parts(samples):
    """The parts of the kinds that there are samples of."""
    made = {part: part.make(samples[part.kind], part.kind, part.size) for part in PARTS if samples[part.kind]}
    for part, data in made.items():
        if len(data) != part.size:
            sys.exit(f"{part.kind.name}: fewer than {MOST_FREQUENT:,} different grams are too few for a model")
    return made


def kept_parts():
    """The parts of the models beside this program."""
    files = {part.file: (HERE / part.file).read_bytes() for part in PARTS}
    parts = {}
    for part in PARTS:
        parts[part], files[part.file] = files[part.file][: part.size], files[part.file][part.size :]
    assert not any(files.values()), "no file is longer than its parts"
    return parts


def entries(part, data):
    """A part's frequencies, packed, by string, slot or gram."""
    if part.make == frequent:
        return {data[at : at + 4]: data[at + 4] for at in range(0, len(data), 5)}
    return {at: byte for at, byte in enumerate(data) if byte}


def compared(part, made, kept):
    if made == kept:
        return "the same bytes"
    made, kept = entries(part, made), entries(part, kept)
    common = made.keys() & kept.keys()
    share = sum(unpacked(kept[key]) for key in common)
    bits = {key: abs(made[key] - kept[key]) / 8 for key in common}
    return (
        f"{len(made):,} made, {len(kept):,} kept, {len(common):,} in common, "
        f"which are {share / sum(map(unpacked, kept.values())):.1%} of the kept ones by frequency; "
        f"log2 of a frequency differs by {sum(bits.values()) / len(bits):.2f} in mean, "
        f"by {sum(bits[key] * unpacked(kept[key]) for key in common) / share:.2f} weighted by frequency"
    )


def check():
    """Whether models made of a few bytes, and those kept, are as frequency.rs takes them to be."""
    assert f"GRAM_HASH = 0x{GRAM_HASH:X}u;" in LAYOUT.read_text(), "grams are hashed as their reader does"
    noise = random.Random(1)
    text = " ".join(noise.choices(["Call", "return", "the", "option\n", "x_1", "== 27;"], k=1000)).encode()
    text += bytes(noise.choices(range(0x20, 0x7F), k=5000))
    binary = bytes(1000) + bytes(noise.choices(range(256), k=10_000))
    for parts in made_parts({TEXT: [text], BINARIES: [binary]}), kept_parts():
        for part, data in parts.items():
            assert len(data) == part.size, f"{part.file} has its size"
            if part.make in (single_bytes, trigrams):
                assert abs(sum(map(unpacked, data)) - 1) < 0.05, f"{part.file}: something is certain"
            elif part.make == grams:
                assert any(data) and max(data) <= packed(part.kind.least_counted), f"{part.file}: none is rare"
            else:
                found = entries(part, data)
                assert len(found) == MOST_FREQUENT, f"{part.file} has every gram once"
                assert list(found.values()) == sorted(found.values()), f"{part.file} begins with the most frequent"
                assert all(gram == gram.lower() for gram in found), f"{part.file} is in lower case"
                table = next(parts[other] for other in PARTS if (other.kind, other.make) == (part.kind, grams))
                counted = sum(table[slot(gram, len(table))] > 0 for gram in found)
                assert counted > 0.9 * len(found), f"{part.file}: its grams are those of the table, by their hashes"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--text", nargs="+", type=pathlib.Path, metavar="FILE", default=[])
    arguments.add_argument("--binaries", nargs="+", type=pathlib.Path, metavar="FILE", default=[])
    mode = arguments.add_mutually_exclusive_group(required=True)
    mode.add_argument("--out", type=pathlib.Path, metavar="FOLDER")
    mode.add_argument("--compare", action="store_true")
    mode.add_argument("--check", action="store_true")
    given = arguments.parse_args()
    if given.check:
        return check()
    needed = all if given.out else any
    if not needed([given.text, given.binaries]):
        arguments.error("files to make models of are lacking")

    made = made_parts({kind: [file.read_bytes() for file in getattr(given, kind.name)] for kind in (TEXT, BINARIES)})
    if given.compare:
        kept = kept_parts()
        for part, data in made.items():
            print(f"{part.kind.name}, {part.make.__name__} of {part.file}: {compared(part, data, kept[part])}")
    else:
        for name in dict.fromkeys(part.file for part in PARTS):
            (given.out / name).write_bytes(b"".join(made[part] for part in PARTS if part.file == name))


if __name__ == "__main__":
    main()
