#!/usr/bin/env python3
"""Vectors of all-MiniLM-L6-v2 in float64, from its weights and without our code, to compare the Rust embedder with.

    pip install numpy tokenizers
    python golden.py FOLDER < texts.jsonl > vectors.jsonl

Reads `text` of each line, with the tokenizer of FOLDER cut at 256 word pieces, and writes `text` and `vector`.
"""
import json, math, pathlib, struct, sys

import numpy as np
from tokenizers import Tokenizer

FOLDER = pathlib.Path(sys.argv[1])
LAYERS, HEADS, EPSILON = 6, 12, 1e-12


def weights():
    raw = (FOLDER / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    return {
        name: np.frombuffer(data[slice(*tensor["data_offsets"])], "<f4").reshape(tensor["shape"]).astype(np.float64)
        for name, tensor in header.items()
        if name != "__metadata__" and tensor["dtype"] == "F32"
    }


W = weights()
erf = np.vectorize(math.erf)


def linear(name, x):
    return x @ W[f"{name}.weight"].T + W[f"{name}.bias"]


def norm(name, x):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON) * W[f"{name}.weight"] + W[f"{name}.bias"]


def attention(name, x):
    heads = lambda part: linear(f"{name}.self.{part}", x).reshape(len(x), HEADS, -1).transpose(1, 0, 2)
    q, k, v = heads("query"), heads("key"), heads("value")
    scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = scores / scores.sum(-1, keepdims=True) @ v
    return mixed.transpose(1, 0, 2).reshape(len(x), -1)


def vector(ids):
    part = lambda name: W[f"embeddings.{name}_embeddings.weight"]
    x = norm("embeddings.LayerNorm", part("word")[ids] + part("position")[: len(ids)] + part("token_type")[0])
    for layer in (f"encoder.layer.{number}" for number in range(LAYERS)):
        mixed = linear(f"{layer}.attention.output.dense", attention(f"{layer}.attention", x))
        x = norm(f"{layer}.attention.output.LayerNorm", x + mixed)
        inner = linear(f"{layer}.intermediate.dense", x)
        inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
        x = norm(f"{layer}.output.LayerNorm", x + linear(f"{layer}.output.dense", inner))
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
tokenizer.no_padding()
tokenizer.enable_truncation(256)
for line in sys.stdin:
    text = json.loads(line)["text"]
    numbers = [round(float(x), 6) for x in vector(tokenizer.encode(text).ids)]
    print(json.dumps({"text": text, "vector": numbers}, ensure_ascii=False))
