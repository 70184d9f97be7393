"""Checks before the first step, for what would end a pretraining in an error or silently leave out rows."""


def check_phases(phases: list, encoders: dict, micro_batches: int, replicas: int):
    """Checks the phases of a run against its encoders, {name: encoder}, and its devices.

    Each batch is split evenly over `replicas` devices, and there into `micro_batches` for gradient accumulation.

    Raises:
      ValueError: shares of the phases that don't sum to 1, a batch that can't be split evenly, or rows that are longer
        than an encoder's positions.
    """
    fractions = [phase.share for phase in phases]
    if abs(sum(fractions) - 1) > 1e-6 or any(fraction <= 0 for fraction in fractions):
        raise ValueError(f"the shares of the phases are {fractions}; expected positive numbers with a sum of 1")
    for number, phase in enumerate(phases):
        prefix = "long_" if number else ""
        size, length = phase.batches.batch_size, phase.batches.recipe.length
        if size < 1 or size % (micro_batches * replicas):
            devices = f", on {replicas} devices" if replicas > 1 else ""
            raise ValueError(
                f"{prefix}batch_size is {size} and gradient_accumulation_steps is {micro_batches}{devices}; expected a "
                f"batch that is a multiple of {micro_batches * replicas}, so that no row is left out"
            )
        for name, encoder in encoders.items():
            if length > encoder.max_length:
                raise ValueError(
                    f"{prefix}length is {length}, but the {name} has {encoder.max_length} positions; expected shorter "
                    "rows, or an encoder with more (max_positions; that of a checkpoint is fixed)"
                )
