"""A tokenizer and shards of made-up documents, small enough to train on in a moment."""

import numpy as np

from tfkor.data.shards import Shard, ShardFolder, write_manifest, write_shard
from tfkor.text import Tokenizer

WORDS = ["가다", "오다", "먹다", "학교", "집", "밥", "물", "나무", "하늘", "바람", "사람", "아이"]
ENDINGS = ["##에", "##를", "##은", "##이", "##고", "##며"]


def make_tokenizer():
    return Tokenizer.from_vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *WORDS, *ENDINGS])


def make_shard(tokenizer, documents, seed, least=3, most=12):
    """Documents of sentences of words with and without an ending; a word is an eojeol."""
    random = np.random.default_rng(seed)
    words = [tokenizer.vocab.index(word) for word in WORDS]
    endings = [tokenizer.vocab.index(ending) for ending in ENDINGS]
    tokens, starts, sentence_splits, document_splits = [], [], [0], [0]
    for _ in range(documents):
        for _ in range(random.integers(least, most)):
            for _ in range(random.integers(2, 9)):
                # an ending follows from its word, so there is something to learn
                word = random.integers(len(words))
                tokens.append(words[word])
                starts.append(True)
                if random.random() < 0.6:
                    tokens.append(endings[word % len(endings)])
                    starts.append(False)
            sentence_splits.append(len(tokens))
        document_splits.append(len(sentence_splits) - 1)
    return Shard(np.array(tokens, np.int32), np.array(starts), np.array(sentence_splits), np.array(document_splits))


def write_shards(folder, shards=3, documents=40):
    """`documents`: of each shard, an int or a list of them."""
    tokenizer = make_tokenizer()
    documents = documents if isinstance(documents, list) else [documents] * shards
    entries = [
        write_shard(folder / f"shard-{i:05d}.npz", make_shard(tokenizer, count, i), tokenizer.vocab_size)
        for i, count in enumerate(documents)
    ]
    write_manifest(folder, tokenizer, entries)
    return ShardFolder(folder)
