"""Segmentations sampled at random, for training: BPE-dropout and Unigram's sampling, the same ones for the same seed.

What sentencepiece itself draws (`enable_sampling`) differs from process to process in its release 0.2.3, whatever seed
is set, so that no training could be repeated. Pieces, scores and probabilities are those of its bpe_model.cc and
unigram_model.cc.
"""

import heapq
import math
import re
from itertools import pairwise

import numpy as np

ALPHA = 0.2  # smooths the probabilities of Unigram's segmentations; Kudo 2018, section 4
UNKNOWN_PENALTY = 10.0  # below the lowest score; of unigram_model.cc


class Drawer:
    """Draws the pieces of texts.

    Args:
      processor: a sentencepiece.SentencePieceProcessor.
      kind: "bpe" or "unigram".
    """

    def __init__(self, processor, kind: str):
        from sentencepiece import sentencepiece_model_pb2

        self.processor, self.kind, self.unknown = processor, kind, processor.unk_id()
        model = sentencepiece_model_pb2.ModelProto.FromString(processor.serialized_model_proto())
        entries = list(enumerate(model.pieces))
        self.pieces = {entry.piece: (i, entry.score) for i, entry in entries if entry.type == entry.NORMAL}
        scores = [score for _, score in self.pieces.values()]
        self.unknown_score, highest = min(scores) - UNKNOWN_PENALTY, max(0.0, *scores)
        self.symbols = {entry.piece: i for i, entry in entries if entry.type == entry.USER_DEFINED}
        for symbol, i in self.symbols.items():  # Unigram's always win; BPE's are never merged
            self.pieces[symbol] = (i, len(symbol) * highest - 0.1)
        longest_first = sorted(self.symbols, key=len, reverse=True)
        self.first_parts = re.compile("|".join([*map(re.escape, longest_first), "."]), re.DOTALL)  # symbols, characters
        self.longest = {}
        for piece in self.pieces:
            self.longest[piece[0]] = max(self.longest.get(piece[0], 0), len(piece))

    def draw(self, text: str, dropout: float, random: np.random.Generator) -> list[int]:
        """The ids of one text, list of int.

        Args:
          text: str, as the processor's Encode takes it.
          dropout: BPE: the probability that a merge is skipped (Provilkov et al. 2020). Unigram: the exponent
            of the probabilities of the segmentations that one is drawn from (Kudo 2018).
          random: a NumPy generator.
        """
        text = self.processor.Normalize(text)
        draw = self.merged if self.kind == "bpe" else self.sampled
        ids = [self.pieces.get(piece, (self.unknown, 0.0))[0] for piece in draw(text, dropout, random)]
        return [i for i, before in zip(ids, [None, *ids]) if not i == before == self.unknown]  # a run of them is one

    def sampled(self, text: str, alpha: float, random: np.random.Generator) -> list[str]:
        """The pieces of a segmentation, drawn backwards by the sums of the probabilities of all that lead there."""
        arcs = [[] for _ in range(len(text) + 1)]  # of each end: (begin, alpha times the score)
        total = [0.0] + [-math.inf] * len(text)  # of each end: log of the sum over the ways that lead there
        for begin, char in enumerate(text):
            if arcs[begin]:
                total[begin] = log_sum([total[start] + score for start, score in arcs[begin]])
            for end in range(begin + 1, min(begin + self.longest.get(char, 1), len(text)) + 1):
                if found := self.pieces.get(text[begin:end]):
                    arcs[end].append((begin, alpha * found[1]))
                elif end == begin + 1:
                    arcs[end].append((begin, alpha * self.unknown_score))
        ends, draws = [len(text)], random.random(len(text))
        while end := ends[-1]:
            ways = [total[begin] + score for begin, score in arcs[end]]
            left, whole = draws[end - 1], log_sum(ways)
            for (begin, _), way in zip(arcs[end], ways):
                chosen = begin
                left -= math.exp(way - whole)
                if left < 0:
                    break
            ends.append(chosen)
        return [text[begin:end] for end, begin in pairwise(ends)][::-1]

    def merged(self, text: str, dropout: float, random: np.random.Generator) -> list[str]:
        """The pieces after all merges, the one of the highest score first, except for those that are skipped."""
        parts = self.first_parts.findall(text)
        after = list(range(1, len(parts) + 1))
        before = list(range(-1, len(parts) - 1))
        agenda = []

        def add(left, right):
            if left < 0 or right == len(parts) or parts[left] in self.symbols or parts[right] in self.symbols:
                return
            if found := self.pieces.get(parts[left] + parts[right]):
                heapq.heappush(agenda, (-found[1], left, right, parts[left] + parts[right]))

        for left in range(len(parts) - 1):
            add(left, left + 1)
        draws = iter(random.random(3 * len(parts)))  # each merge adds two pairs at most
        while agenda:
            _, left, right, piece = heapq.heappop(agenda)
            if not (parts[left] and parts[right]) or parts[left] + parts[right] != piece or next(draws) < dropout:
                continue
            parts[left], parts[right] = piece, ""
            after[left] = after[right]
            if after[left] < len(parts):
                before[after[left]] = left
            add(before[left], left)
            add(left, after[left])
        return [part for part in parts if part]


def log_sum(values: list[float]) -> float:
    """log of the sum of exp(values), from the greatest one on."""
    greatest = max(values)
    return greatest + math.log(sum(math.exp(value - greatest) for value in values))
