"""Pretraining objectives. An objective is a file in this folder and an entry of OBJECTIVES.

It is a Keras model that contains the encoders and their heads, and provides all that a run needs:

  collate(examples, recipe, vocabulary)   class method: Examples, the rows of a batch, -> the batch, a dict of arrays
  complete(batch, recipe, keys)           the same for a batch of TFRecords, whose masks are fixed
  of(encoder, pairs, config, start)       class method: the objective of a run, on an encoder; `config` is its
                                          PretrainingConfig, `start` is {name: encoder of a checkpoint}
  objective(batch) -> (loss, {name: part of it})      the sum over a batch, whose weights sum to 1
  evaluation_metrics(batch) -> {name: metric}         the metrics of log lines and evaluations, without dropout
  forward_flops(batch_size, recipe)       FLOPs of one forward pass
  alarms                                  metrics that show that a training goes wrong, see tfkor.pretraining.alarms
  samples(batch, tokenizer) -> lines      predictions that an evaluation shows
  encoders, heads, encoder_names          {name: encoder} and {name: its heads} that a run saves, and their names
  language_model                          (encoder, MaskedLmHead) for `fill_mask`
  idle_variables()                        variables that the loss does not depend on, which are not trained
  papers, pairs_allowed, masking          {architecture: the pairs in its paper}, the pairs that it can be combined
                                          with, and the arguments of its Masking that differ from the defaults
"""

from tfkor.pretraining.objectives.mlm import MaskedLanguageModel
from tfkor.pretraining.objectives.rtd import ReplacedTokenDetection

OBJECTIVES = {
    "mlm": MaskedLanguageModel,
    "rtd": ReplacedTokenDetection,
}


def default_objectives(architecture: str) -> list[str]:
    """The objectives of an architecture's paper, for example ["mlm", "nsp"]; ["mlm"] if it is not known."""
    for name, objective in OBJECTIVES.items():
        if architecture in objective.papers:
            pairs = objective.papers[architecture]
            return [name, pairs] if pairs else [name]
    return ["mlm"]


def allowed_objectives(architecture: str) -> list[list[str]]:
    """All objectives that an architecture can be trained with: that of its paper, with each of the allowed pairs."""
    name = default_objectives(architecture)[0]
    return [[name, pairs] if pairs else [name] for pairs in OBJECTIVES[name].pairs_allowed]


__all__ = ["OBJECTIVES", "MaskedLanguageModel", "ReplacedTokenDetection", "allowed_objectives", "default_objectives"]
