"""What would end a pretraining in an error, or train on less than it seems, found before its first step."""


def check_phases(phases, encoders, micro_batches, replicas):
    """Looks at the phases of a run together with its encoders, {name: encoder}, and its devices.

    Each batch is cut evenly: over `replicas` devices, and there into `micro_batches` of gradient accumulation.

    Raises:
      ValueError: shares that don't sum to 1, a batch that can't be cut, rows longer than an encoder's positions.
    """
    shares = [phase.share for phase in phases]
    if abs(sum(shares) - 1) > 1e-6 or any(share <= 0 for share in shares):
        raise ValueError(f"the shares of the phases are {shares}; expected a sum of 1")
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
                    "rows, or an encoder with more (max_positions; one of a checkpoint has its own)"
                )
