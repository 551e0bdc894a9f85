"""Builds lexicon.bin and the *.exc lists from WordNet 3.0's dictionary files (Debian: wordnet-base).

Usage: python3 build_lexicon.py /usr/share/wordnet crates/text/data
"""

import sys
from pathlib import Path

M = 0xFFFFFFFF


def word_hash(word):
    h = 0x811C9DC5
    for byte in word.encode():
        h = ((h ^ byte) * 0x01000193) & M
    h ^= h >> 16
    h = (h * 0x85EBCA6B) & M
    h ^= h >> 13
    h = (h * 0xC2B2AE35) & M
    return h ^ (h >> 16)


def main(source, target):
    words = {}
    for bit, part in enumerate(("noun", "verb", "adj", "adv")):
        for line in (source / f"index.{part}").read_text("latin1").splitlines():
            if not line.startswith("  ") and "_" not in (word := line.split(" ", 1)[0]):
                words[word] = words.get(word, 0) | 1 << bit
        entries = {}
        for line in (source / f"{part}.exc").read_text("latin1").splitlines():
            form, *lemmas = line.split()
            if "_" not in form and lemmas[-1] != form:
                entries[form] = lemmas[-1]
                irregular = form + "|"
                words[irregular] = words.get(irregular, 0) | 1 << bit
        (target / f"{part}.exc").write_text("".join(f"{f} {l}\n" for f, l in sorted(entries.items())))

    slots = 1 << 17
    table = [0] * slots
    # Words with the most parts of speech first: they have the shortest way to go.
    for word in sorted(words, key=lambda w: (-bin(words[w]).count("1"), w)):
        h = word_hash(word)
        entry = (h >> 20) << 4 | words[word]
        at = h & (slots - 1)
        while table[at] and table[at] & 0xFFF0 != entry & 0xFFF0:
            at = (at + 1) % slots
        table[at] |= entry
    (target / "lexicon.bin").write_bytes(b"".join(s.to_bytes(2, "little") for s in table))


main(Path(sys.argv[1]), Path(sys.argv[2]))
