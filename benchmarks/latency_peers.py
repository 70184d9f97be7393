"""The contenders of latency.py, each in its own process that keeps its model: CONTENDER JOB.json

A contender is built once and returns a function without arguments that predicts probabilities [B, C]. A request is a
line of JSON, {"seconds": s}: the function is called for s seconds, and the answer has the seconds of each call.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from worker import peak_memory_mb

THREADS = len(os.sched_getaffinity(0))


def softmax(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def inputs(job, dtype):
    """ids, mask and segments of the utterance, [1, S]."""
    ids = np.array([job.ids], dtype)
    return ids, np.ones_like(ids), np.zeros_like(ids)


def saved_model(job):
    import tensorflow as tf

    from tfkor import TextClassifier
    from tfkor.export import export_classifier

    folder = tempfile.mkdtemp()
    path = export_classifier(TextClassifier.load(job.model), Path(folder) / "saved_model")
    serve = tf.saved_model.load(path).signatures["serving_default"]
    names = ("input_word_ids", "input_mask", "segment_ids")
    return lambda: serve(**{k: tf.constant(v) for k, v in zip(names, inputs(job, np.int32))})["probabilities"].numpy()


def tflite_int8(job):
    from tfkor import TextClassifier
    from tfkor.export import TFLiteClassifier, export_tflite

    path = Path(tempfile.mkdtemp()) / "model.tflite"
    export_tflite(TextClassifier.load(job.model), path, length=len(job.ids), quantize="int8")
    model = TFLiteClassifier(path, batch_size=1, num_threads=THREADS)
    return lambda: model(list(inputs(job, np.int32)))


def onnx(job, fused=False, int8=False):
    import onnxruntime
    import torch

    model = torch_model(job)
    path = f"{tempfile.mkdtemp()}/model.onnx"
    names = ["input_ids", "attention_mask", "token_type_ids"]
    example = {name: torch.from_numpy(array) for name, array in zip(names, inputs(job, np.int64))}
    axes = {name: {0: "batch", 1: "length"} for name in names}
    options = dict(input_names=names, output_names=["logits"], dynamic_axes=axes, opset_version=17, dynamo=False)
    torch.onnx.export(model, (example,), path, **options)
    if fused:
        from onnxruntime.transformers import optimizer

        config = model.config
        sizes = dict(num_heads=config.num_attention_heads, hidden_size=config.hidden_size)
        optimizer.optimize_model(path, model_type="bert", opt_level=1, **sizes).save_model_to_file(path)
    if int8:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic

        kinds = {"DefaultTensorType": onnx.TensorProto.FLOAT}
        quantize_dynamic(path, f"{path}.int8", weight_type=QuantType.QInt8, extra_options=kinds)
        path = f"{path}.int8"
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    taken = {each.name for each in session.get_inputs()}
    feed = {name: array for name, array in zip(names, inputs(job, np.int64)) if name in taken}
    return lambda: softmax(session.run(None, feed)[0])


def torch_model(job):
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(THREADS)
    return AutoModelForSequenceClassification.from_pretrained(f"{job.model}/hf").eval()


def torch_eager(job, compiled=False):
    import torch

    model = torch_model(job)
    run = torch.compile(model) if compiled else model
    names = ("input_ids", "attention_mask", "token_type_ids")
    feed = {name: torch.from_numpy(array) for name, array in zip(names, inputs(job, np.int64))}

    def predict():
        with torch.inference_mode():
            return run(**feed).logits.softmax(-1).numpy()

    return predict


CONTENDERS = {
    "saved_model": saved_model,
    "saved_model_eigen": saved_model,
    "tflite_int8": tflite_int8,
    "onnx": onnx,
    "onnx_fused": lambda job: onnx(job, fused=True),
    "onnx_int8": lambda job: onnx(job, int8=True),
    "onnx_fused_int8": lambda job: onnx(job, fused=True, int8=True),
    "torch": torch_eager,
    "torch_compiled": lambda job: torch_eager(job, compiled=True),
}


def main():
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # the output of libraries must not mix with the answers
    with open(sys.argv[2], encoding="utf-8") as file:
        job = SimpleNamespace(**json.load(file))
    run = CONTENDERS[sys.argv[1]](job)
    probabilities = run()
    run()
    memory = peak_memory_mb()
    print(json.dumps({"probabilities": probabilities.tolist(), "memory_mb": memory}), file=answers)
    for line in sys.stdin:
        end, seconds = time.perf_counter() + json.loads(line)["seconds"], []
        while not seconds or time.perf_counter() < end:
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"seconds": seconds}), file=answers)


if __name__ == "__main__":
    main()
