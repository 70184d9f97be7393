"""Recomputation of a block in the backward pass, instead of keeping its activations (Chen et al. 2016)."""

from typing import Any

import keras

from tfkor.layers.inputs import Tensor


def recomputed(block: Any, x: Tensor, context: tuple, seeds: Any, training: bool) -> Tensor:
    """A block's output [B, S, H] for x [B, S, H]; the activations inside are computed again in the backward pass.

    On JAX the second computation needs a value of the gradient that comes in, and the gradient that goes out needs one
    of each weight's. XLA drops the barriers of jax.checkpoint before it schedules a step, so that nothing else keeps it
    from computing many blocks again at once, or from leaving the weights' gradients, and all they need, for the end.

    Args:
      context: the block's further arguments, a tuple of tensors that get gradients too: the bias of its attention.
      seeds: of its dropouts, from `block.draw_seeds()`, or None.
    """
    if keras.backend.backend() != "jax":
        return keras.remat(lambda x, *context: block(x, *context, seeds=seeds, training=training)[0])(x, *context)
    import jax

    weights = block.weights

    def run(x, values, context, seeds):
        with keras.StatelessScope(state_mapping=zip(weights, values)):
            return block(x, *context, seeds=seeds, training=training)[0]

    def forward(*inputs):
        return run(*inputs), inputs

    def backward(inputs, gradient):
        # a barrier, so that XLA doesn't make one computation of this and the first
        x, values, context, seeds, gradient = jax.lax.optimization_barrier((*inputs, gradient))
        first = gradient[0, 0, 0]
        x = x + 0 * first
        seeds = jax.tree.map(lambda seed: seed + (first != first).astype(seed.dtype), seeds)  # + 0, unless it is NaN
        _, pull_back = jax.vjp(lambda x, values, context: run(x, values, context, seeds), x, values, context)
        x_gradient, value_gradients, context_gradients = pull_back(gradient)
        zero = sum(0 * each[(0,) * each.ndim].astype(x.dtype) for each in value_gradients)
        return x_gradient + zero, value_gradients, context_gradients, None

    run_again = jax.custom_vjp(run)
    run_again.defvjp(forward, backward)
    return run_again(x, [weight.value for weight in weights], context, seeds)
