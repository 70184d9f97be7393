"""The settings of a pretraining: each field with its help, its bounds, and whether it may change on resume."""

from dataclasses import dataclass

from tfkor.pretraining.masking import Masking
from tfkor.pretraining.rows import least_length
from tfkor.training.config import ConfigError, TrainingConfig, option
from tfkor.training.devices import STRATEGIES


@dataclass(frozen=True, kw_only=True)
class PretrainingConfig(TrainingConfig):
    """All settings of a run of run_pretraining: data, model, objective, rows, training, and its folder.

        PretrainingConfig(shards="runs/shards", model_dir="runs/electra", model="electra", steps=10_000)

    Raises:
      ConfigError: a field has a wrong value.
    """

    shards: str | None = option(None, "Folder of shards, as create_pretraining_data wrote it.", may_change=True)
    tfrecords: tuple[str, ...] | None = option(
        None, "Instead of shards: TFRecord files of google-research/bert or TF Model Garden.", may_change=True
    )
    tokenizer_dir: str | None = option(
        None, "For TFRecords: folder of the tokenizer that they were made with.", may_change=True
    )
    model_dir: str | None = option(
        None, "Folder of the run; the same command resumes the run in it.", may_change=True
    )
    init_checkpoint: str | None = option(
        None, "Checkpoint to start from: the folder of another run, a published checkpoint, or its name."
    )
    # Model
    model: str = option("bert", "Architecture of the encoder.")
    size: str = option("small", "Size of the encoder: tiny, mini, small, base, large ...")
    generator_size: float | None = option(
        None,
        "ELECTRA: width of the generator as a fraction of the discriminator's; by default the paper's.",
        lower=0.01,
        upper=1.0,
    )
    max_positions: int = option(512, "Longest input of the encoder in tokens: the size of its position table.", lower=3)
    hidden_dropout: float = option(0.1, "Dropout rate of embeddings and layers.", lower=0.0, upper=0.99)
    attention_dropout: float = option(0.1, "Dropout rate of the attention probabilities.", lower=0.0, upper=0.99)
    # Objective
    objectives: tuple[str, ...] | None = option(
        None, "What to train on: mlm; mlm,nsp; mlm,sop; or rtd. By default as in the model's paper."
    )
    masking: tuple[str, ...] = option(
        ("token",),
        "Unit that is masked as a whole: token, whole_word, eojeol or span; or a mixture such as span:1,token:1.",
        of_rows=True,
    )
    mask_rate: float = option(0.15, "Fraction of the tokens to predict.", lower=0.001, upper=0.999, of_rows=True)
    max_predictions: int | None = option(
        None, "Positions to predict per row; by default mask_rate of its length.", lower=1, of_rows=True
    )
    static_masks: bool = option(False, "Use the same masks in each epoch.", of_rows=True)
    packing: bool = option(
        False, "Sequence packing: put several short documents into a row, without attention between them.", of_rows=True
    )
    # Rows
    length: int = option(128, "Length of a row in tokens.", lower=3, of_rows=True)
    batch_size: int = option(64, "Rows of a batch, on all devices together.", lower=1)
    long_length: int | None = option(None, "Length of a row in the last steps, for example 512.", lower=3, of_rows=True)
    long_batch_size: int | None = option(
        None, "Rows of a batch in the last steps; by default the same number of tokens.", lower=1, of_rows=True
    )
    long_share: float = option(0.1, "Fraction of the steps with long_length.", lower=0.001, upper=0.999, of_rows=True)
    held_out: float = option(0.005, "Held-out set: fraction of the documents.", lower=0.0, upper=0.999, of_rows=True)
    on_damaged_shard: str = option(
        "stop", "Skip a damaged shard, or stop.", choices=("skip", "stop"), may_change=True, of_rows=True
    )
    # Training
    optimizer: str = option("adamw", "Optimizer; LAMB is for batches of thousands of rows.", choices=("adamw", "lamb"))
    weight_decay: float = option(0.01, "Weight decay; biases and layer norms have none.", lower=0.0)
    precision: str = option(
        "float32", "Dtype policy of the encoder; weights are float32.", choices=("float32", "mixed_bfloat16")
    )
    gradient_checkpointing: bool = option(
        False, "Recompute each layer in the backward pass, which takes less memory and more time.", may_change=True
    )
    seed: int = option(0, "Random seed; the same one gives the same run.", lower=0)
    strategy: str = option("one", f"Devices to train on: {', '.join(STRATEGIES)}.", may_change=True)
    model_axis: int = option(2, "For model_parallel: devices that each layer is split over.", lower=1, may_change=True)

    def check(self):
        super().check()
        if not self.model_dir:
            raise ConfigError(f"model_dir is {self.model_dir!r}; expected the folder of the run")
        if bool(self.shards) == bool(self.tfrecords):
            raise ConfigError(f"shards is {self.shards} and tfrecords is {self.tfrecords}; expected one of them")
        if bool(self.tfrecords) != bool(self.tokenizer_dir):
            raise ConfigError(
                f"tokenizer_dir is {self.tokenizer_dir}; expected the tokenizer that TFRecords were made with, and "
                "None for shards, which contain theirs"
            )
        self.check_objectives()
        units = self.masking_units  # may raise ConfigError
        try:
            Masking(units, self.mask_rate)
        except ValueError as error:
            raise ConfigError(f"masking is {','.join(self.masking)}: {error}") from error

    def check_objectives(self):
        from tfkor.pretraining.objectives import allowed_objectives

        found, allowed = ",".join(self.objective_names), allowed_objectives(self.model)
        if list(self.objective_names) not in allowed:
            expected = " or ".join(",".join(each) for each in allowed)
            raise ConfigError(f"objectives is {found} with model={self.model}; expected {expected}")
        for name in ("length", "long_length"):
            value, least = getattr(self, name), least_length(self.pairs)
            if value is not None and value < least:
                raise ConfigError(f"{name} is {value} with objectives={found}; expected {least} or more")
        if self.packing and self.pairs:
            raise ConfigError(f"packing is True with objectives={found}; expected no pairs with packing")

    # === What follows from the fields ===

    @property
    def objective_names(self) -> list[str]:
        """The objective, followed by its pairs if it has any: ["mlm", "nsp"]."""
        from tfkor.pretraining.objectives import default_objectives

        return list(self.objectives or default_objectives(self.model))

    @property
    def objective(self) -> type:
        """The class of the objective."""
        from tfkor.pretraining.objectives import OBJECTIVES

        return OBJECTIVES[self.objective_names[0]]

    @property
    def pairs(self) -> str | None:
        """None, "nsp" or "sop"."""
        return self.objective_names[1] if len(self.objective_names) > 1 else None

    @property
    def masking_units(self) -> str | dict:
        """`masking` as Masking takes it: a unit, or {unit: weight}."""
        parts = [part.partition(":") for part in self.masking]
        if len(parts) == 1 and not parts[0][1]:
            return parts[0][0]
        try:
            return {unit: float(weight) for unit, _, weight in parts}
        except ValueError as error:
            found = ",".join(self.masking)
            raise ConfigError(f"masking is {found}; expected a unit, or unit:weight,unit:weight") from error

    def recipe(self, length: int):
        """How rows of this length become examples, a Recipe."""
        from tfkor.pretraining.batches import Recipe

        return Recipe(
            length=length,
            max_predictions=self.max_predictions,
            pairs=self.pairs,
            packing=self.packing,
            masking=Masking(self.masking_units, self.mask_rate, **self.objective.masking),
            static_masks=self.static_masks,
            objective=self.objective_names[0],
        )
