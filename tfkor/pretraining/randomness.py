"""Random numbers that depend only on a key and a position, so that an example has the same ones in any batch."""

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(x):
    """uint64 [...] -> uint64 [...]: the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    x = np.asarray(x, np.uint64)
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def keys(*parts):
    """Integers or integer arrays -> one uint64 key for each element of their broadcast shape."""
    key = np.uint64(0)
    with np.errstate(over="ignore"):
        for part in parts:
            key = mix(key + GOLDEN + np.asarray(part).astype(np.uint64))
    return key


def uniforms(key, stream, count):
    """uint64 [B] -> float32 [B, count] in [0, 1). `stream` distinguishes the uses of a key."""
    with np.errstate(over="ignore"):
        start = keys(key, stream)[..., None]
        bits = mix(start + GOLDEN * np.arange(1, count + 1, dtype=np.uint64))
    return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
