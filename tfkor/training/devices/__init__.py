"""Training on several devices: tf.distribute on the TensorFlow backend, keras.distribution on JAX."""

from tfkor.training.devices.strategies import STRATEGIES, Devices, make_devices

__all__ = ["STRATEGIES", "Devices", "make_devices"]
