"""Annotates plain sentences for `examples/train_tagger.rs` with spaCy's en_core_web_sm.

Usage: python3 annotate.py MODEL < sentences.txt > annotated.tsv
The input has one sentence on each line. The output has each sentence twice, as written and in lower case, with one
token on each line: word, number of the tag, number of the place in a noun phrase. An empty line ends a sentence.
"""

import sys

import spacy

# The tags in the order of `Tag` in src/tag/labels.rs.
TAGS = (
    "_SP NN NNS NNP NNPS VB VBP VBD VBG VBN VBZ JJ JJR JJS RB RBR RBS MD DT PRP PRP$ IN CC CD TO RP WH POS "
    "PUNCT SYM UH X"
).split()
MERGED = {
    "AFX": "JJ", "PDT": "DT", "EX": "PRP", "WP$": "PRP$", "WDT": "WH", "WP": "WH", "WRB": "WH", "$": "SYM",
    **dict.fromkeys((".", ",", ":", "``", "''", "-LRB-", "-RRB-", "HYPH", "NFP"), "PUNCT"),
}


def tag(token):
    name = token.pos_ if token.pos_ in ("PUNCT", "SYM") else MERGED.get(token.tag_, token.tag_)
    return TAGS.index(name if name in TAGS else "X")


def places(doc):
    numbers = [1] * len(doc)
    for chunk in doc.noun_chunks:
        for at, token in enumerate(chunk):
            role = {"compound": 1, "amod": 2}.get(token.dep_, 0)
            numbers[token.i] = (5 if at else 2) + role
    return numbers


model = spacy.load(sys.argv[1])
lines = [line.rstrip("\n") for line in sys.stdin]
for text in (lines, [line.lower() for line in lines]):
    for doc in model.pipe(text, batch_size=256):
        for token, place in zip(doc, places(doc)):
            print("".join(" " if c in "\t\n" else c for c in token.text), tag(token), place, sep="\t")
        print()
