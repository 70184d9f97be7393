"""What a pretraining minimises. An objective is a file here and a line in OBJECTIVES.

It is a Keras model that holds the encoders and their heads, and owns all that a run asks of it:

  collate(examples, recipe, vocabulary)   class method: Examples, the rows of a batch, -> the batch, a dict of arrays
  complete(batch, recipe, keys)           the same for a batch whose masks were drawn before, of TFRecords
  of(encoder, pairs, config, start)       class method: the objective of a run, on an encoder; `config` is its
                                          PretrainingConfig, `start` is {name: encoder of a checkpoint}
  objective(batch) -> (loss, {name: part of it})      the sum over a batch, whose weights sum to 1
  evaluation_metrics(batch) -> {name: metric}         what log lines and evaluations say, without dropout
  forward_flops(batch_size, recipe)       operations of one forward pass
  alarms                                  which metrics say that a training goes wrong, see tfkor.pretraining.alarms
  samples(batch, tokenizer) -> lines      predictions that an evaluation shows
  encoders, heads, encoder_names          {name: encoder} and {name: its heads} that a run leaves, and their names
  language_model                          (encoder, MaskedLmHead) for `fill_mask`
  idle_variables()                        what the loss does not depend on, so that it is not trained
  papers, pairs_allowed, masking          {architecture: the pairs of its paper}, the pairs that it can learn beside,
                                          and how its Masking differs from the defaults
"""

from tfkor.pretraining.objectives.mlm import MaskedLanguageModel
from tfkor.pretraining.objectives.rtd import ReplacedTokenDetection

OBJECTIVES = {
    "mlm": MaskedLanguageModel,
    "rtd": ReplacedTokenDetection,
}


def default_objectives(architecture: str) -> list[str]:
    """The objectives of an architecture's paper, as a run names them: ["mlm", "nsp"]; ["mlm"] if nobody knows it."""
    for name, objective in OBJECTIVES.items():
        if architecture in objective.papers:
            pairs = objective.papers[architecture]
            return [name, pairs] if pairs else [name]
    return ["mlm"]


def allowed_objectives(architecture: str) -> list[list[str]]:
    """All that an architecture can be trained on: what its paper's objective allows."""
    name = default_objectives(architecture)[0]
    return [[name, pairs] if pairs else [name] for pairs in OBJECTIVES[name].pairs_allowed]


__all__ = ["OBJECTIVES", "MaskedLanguageModel", "ReplacedTokenDetection", "allowed_objectives", "default_objectives"]
