"""The intent classifier of a BERT course, line by line, for any bert_layer and for tf_keras or Keras 3 as `tf.keras`.

As a program it runs on hub.KerasLayer in tf_keras: python course_model.py ENCODER CLASSIFIER DATA.npz
"""

import json
import sys

import numpy as np
import tensorflow as tf


def course_model(bert_layer):
    Model = tf.keras.Model

    input_word_ids = tf.keras.layers.Input(shape=(None,), dtype=tf.int32, name="input_word_ids")
    input_mask = tf.keras.layers.Input(shape=(None,), dtype=tf.int32, name="input_mask")
    segment_ids = tf.keras.layers.Input(shape=(None,), dtype=tf.int32, name="segment_ids")

    dropout_layer = tf.keras.layers.Dropout(0.2)
    fc_layer = tf.keras.layers.Dense(176, activation = tf.nn.softmax)  # fmt: skip

    pooled_output, sequence_output = bert_layer([input_word_ids, input_mask, segment_ids])  # noqa: RUF059
    dropout_output = dropout_layer(pooled_output)
    logits = fc_layer(dropout_output)
    model = Model(inputs=[input_word_ids, input_mask, segment_ids], outputs=logits)
    return model


def train(bert_layer, data):
    """Builds the model with the given last layer, and trains it for a few steps; returns figures."""
    model = course_model(bert_layer)
    model.layers[-1].set_weights([data["kernel"], data["bias"]])
    inputs = [data[name] for name in ("input_word_ids", "input_mask", "segment_ids")]
    before = [v.numpy() for v in bert_layer.trainable_variables]
    probabilities = model.predict(inputs, verbose=0)
    model.compile(tf.keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    losses = model.fit(inputs, data["labels"], batch_size=8, epochs=4, verbose=0).history["loss"]
    changes = [float(np.abs(v.numpy() - old).max()) for v, old in zip(bert_layer.trainable_variables, before)]
    return {"probabilities": probabilities.tolist(), "losses": losses, "changes": changes}


def main(encoder_path, classifier_path, data_path):
    import tensorflow_hub as hub

    data = dict(np.load(data_path))
    bert_layer = hub.KerasLayer(encoder_path, trainable=True)
    assert isinstance(bert_layer, tf.keras.layers.Layer), "set TF_USE_LEGACY_KERAS=1"
    figures = train(bert_layer, data)
    inputs = [tf.constant(data[name]) for name in ("input_word_ids", "input_mask", "segment_ids")]
    outputs = bert_layer(dict(zip(("input_word_ids", "input_mask", "input_type_ids"), inputs)))
    figures["names"] = sorted(outputs)
    pooled_output, sequence_output = bert_layer(inputs)
    figures["default"] = float(np.abs(outputs["default"] - pooled_output).max())
    figures["sequence_output"] = float(np.abs(outputs["sequence_output"] - sequence_output).max())
    dropped = [bert_layer(inputs, training=True)[0].numpy() for _ in range(2)]
    figures["dropout"] = float(np.abs(dropped[0] - dropped[1]).max())
    classifier = hub.KerasLayer(classifier_path, trainable=True)
    figures["classifier"] = classifier(inputs).numpy().tolist()
    figures["classifier_variables"] = len(classifier.trainable_variables)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
