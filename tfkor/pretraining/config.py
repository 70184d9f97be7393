"""The settings of a pretraining: each field with its meaning, bounds, and whether it may change when it is resumed."""

from dataclasses import dataclass

from tfkor.pretraining.masking import Masking
from tfkor.pretraining.rows import least_length
from tfkor.training.config import ConfigError, TrainingConfig, option
from tfkor.training.devices import STRATEGIES


@dataclass(frozen=True, kw_only=True)
class PretrainingConfig(TrainingConfig):
    """All that decides a run of run_pretraining: its model, objective, rows, training, and its folder.

        PretrainingConfig(shards="runs/shards", model_dir="runs/electra", model="electra", steps=10_000)

    Raises:
      ConfigError: names the field, what was found, what was expected.
    """

    shards: str | None = option(None, "Folder that create_pretraining_data wrote.", may_change=True)
    tfrecords: tuple[str, ...] | None = option(
        None, "Instead of shards: files that google-research/bert or Model Garden wrote.", may_change=True
    )
    tokenizer_dir: str | None = option(
        None, "For TFRecords: the tokenizer whose vocabulary made them.", may_change=True
    )
    model_dir: str | None = option(
        None, "Folder of the run; the same command goes on with what is in it.", may_change=True
    )
    init_checkpoint: str | None = option(None, "Where to start: another run, a published checkpoint, or its name.")
    # Model
    model: str = option("bert", "Architecture.")
    size: str = option("small", "Size of the encoder: tiny, mini, small, base, large ...")
    generator_size: float | None = option(
        None, "ELECTRA: the generator's width, as a fraction; by default the paper's.", lower=0.01, upper=1.0
    )
    max_positions: int = option(512, "Ids that a row of the encoder may have.", lower=3)
    hidden_dropout: float = option(0.1, "Dropout of embeddings and layers.", lower=0.0, upper=0.99)
    attention_dropout: float = option(0.1, "Dropout of attention.", lower=0.0, upper=0.99)
    # Objective
    objectives: tuple[str, ...] | None = option(
        None, "mlm; mlm,nsp; mlm,sop; rtd. By default those of the model's paper."
    )
    masking: tuple[str, ...] = option(
        ("token",),
        "What is masked as a whole: token, whole_word, eojeol, span; or a mixture, span:1,token:1",
        of_rows=True,
    )
    mask_rate: float = option(0.15, "Fraction of the tokens to predict.", lower=0.001, upper=0.999, of_rows=True)
    max_predictions: int | None = option(
        None, "Positions to predict in a row; by default mask_rate of its length.", lower=1, of_rows=True
    )
    static_masks: bool = option(False, "The same masks in each epoch.", of_rows=True)
    packing: bool = option(
        False, "Put short documents together into a row, without attention across them.", of_rows=True
    )
    # Rows
    length: int = option(128, "Ids of a row.", lower=3, of_rows=True)
    batch_size: int = option(64, "Rows of a step, on all devices together.", lower=1)
    long_length: int | None = option(None, "Ids of a row in the last steps, 512 for example.", lower=3, of_rows=True)
    long_batch_size: int | None = option(
        None, "Rows of these steps; by default the same number of ids.", lower=1, of_rows=True
    )
    long_share: float = option(0.1, "Fraction of the steps with these rows.", lower=0.001, upper=0.999, of_rows=True)
    held_out: float = option(0.005, "Fraction of the documents to evaluate on.", lower=0.0, upper=0.999, of_rows=True)
    on_damaged_shard: str = option(
        "stop", "What to do with a damaged shard.", choices=("skip", "stop"), may_change=True, of_rows=True
    )
    # Training
    optimizer: str = option("adamw", "LAMB suits batches of thousands of rows.", choices=("adamw", "lamb"))
    weight_decay: float = option(0.01, "Not of biases and norms.", lower=0.0)
    precision: str = option(
        "float32", "Arithmetic of the encoder; weights are float32.", choices=("float32", "mixed_bfloat16")
    )
    gradient_checkpointing: bool = option(
        False, "Recompute each layer in the backward pass: less memory, slower.", may_change=True
    )
    seed: int = option(0, "The same seed gives the same run.", lower=0)
    strategy: str = option("one", f"{', '.join(STRATEGIES)}: which devices train.", may_change=True)
    model_axis: int = option(2, "For model_parallel: devices that a layer is cut over.", lower=1, may_change=True)

    def check(self):
        super().check()
        if not self.model_dir:
            raise ConfigError(f"model_dir is {self.model_dir!r}; expected the folder of the run")
        if bool(self.shards) == bool(self.tfrecords):
            raise ConfigError(f"shards is {self.shards} and tfrecords is {self.tfrecords}; expected one of them")
        if bool(self.tfrecords) != bool(self.tokenizer_dir):
            raise ConfigError(
                f"tokenizer_dir is {self.tokenizer_dir}; expected the tokenizer that made the ids of TFRecords, and "
                "None for shards, which hold theirs"
            )
        self.check_objectives()
        units = self.masking_units  # raises too
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
            raise ConfigError(f"packing is True with objectives={found}; expected no pairs in packed rows")

    # === What follows from the fields ===

    @property
    def objective_names(self) -> list[str]:
        """The objective, and the pairs that it learns beside, if any: ["mlm", "nsp"]."""
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
        """`masking` as Masking takes it: a unit, or {unit: share}."""
        parts = [part.partition(":") for part in self.masking]
        if len(parts) == 1 and not parts[0][1]:
            return parts[0][0]
        try:
            return {unit: float(share) for unit, _, share in parts}
        except ValueError as error:
            found = ",".join(self.masking)
            raise ConfigError(f"masking is {found}; expected a unit, or unit:share,unit:share") from error

    def recipe(self, length: int):
        """How rows of a length become examples."""
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
