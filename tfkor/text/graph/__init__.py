"""A Tokenizer as TensorFlow operations, for SavedModels."""
