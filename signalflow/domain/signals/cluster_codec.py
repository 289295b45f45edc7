"""Clusters as compact bytes, one value a cluster."""

import struct

from signalflow.domain.signals.clusters import Cluster
from signalflow.domain.signals.packing import Unpacker, pack_texts

VERSION = 1
_HEAD = struct.Struct("<BQQqIBHH")
_WEIGHT = struct.Struct("<d")
_KEY = struct.Struct("<Q")


def encode(cluster: Cluster) -> bytes:
    """About 250 bytes for a cluster of one post, and at most 2 kB."""
    head = _HEAD.pack(
        VERSION,
        cluster.number,
        cluster.turn,
        cluster.joined_us,
        cluster.size,
        len(cluster.centre),
        len(cluster.posts),
        len(cluster.keys),
    )
    centre = (_WEIGHT.pack(weight) + pack_texts((word,)) for word, weight in cluster.centre.items())
    keys = map(_KEY.pack, cluster.keys)
    return b"".join((head, *centre, *keys, pack_texts((cluster.id, *cluster.posts))))


def decode(value: bytes) -> Cluster:
    """The inverse of encode. Raises ValueError for a version that this code does not know."""
    packed = Unpacker(value, VERSION, "a cluster")
    _, number, turn, joined_us, size, words, posts, keys = packed.numbers(_HEAD)
    centre = {}
    for _ in range(words):
        (weight,) = packed.numbers(_WEIGHT)
        centre[packed.text()] = weight
    hashes = [packed.numbers(_KEY)[0] for _ in range(keys)]
    first = packed.text()
    return Cluster(first, number, turn, joined_us, size, centre, [packed.text() for _ in range(posts)], hashes)
