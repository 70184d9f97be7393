"""The twins of a Tokenizer as TensorFlow operations, to stand in a SavedModel."""
