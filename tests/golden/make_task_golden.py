"""Writes the folders of tasks/: fine-tuned models of Hugging Face with random weights, and what they compute.

pip install -e ".[parity]" && python tests/golden/make_task_golden.py
"""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import sentencepiece
import torch
import transformers

HERE = Path(__file__).resolve().parent
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LIKE_KLUE_ROBERTA = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
WORDS = ["한국", "##어", "나", "##는", "학교", "##에", "韓", "간다", "Case", "."]
TEXTS = ["한국어 나는 학교에.", "나는 韓Case", "학교에 모르는것 간다"]
PAIRS = ["나는 학교에", "한국어.", "나"]
SIZES = dict(
    hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, max_position_embeddings=26
)
ROBERTA = dict(type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5)
CHANGES = {
    "Albert": dict(embedding_size=6, classifier_dropout_prob=0.0),
    "Bert": {},
    "Electra": dict(embedding_size=6),
    "Roberta": ROBERTA,
    "XLMRoberta": ROBERTA,
}
LABELS = {
    "SequenceClassification": ["시간", "장소", "사람"],
    "TokenClassification": ["B-PS", "I-PS", "O"],
    "QuestionAnswering": None,
}


def sentencepiece_model():
    """A small Unigram model, with no normalisation: its table alone would be 240 KB."""
    model = io.BytesIO()
    lines = [f"{text} {pair}" for text in TEXTS for pair in PAIRS] * 4
    options = dict(hard_vocab_limit=False, normalization_rule_name="identity", minloglevel=2)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="unigram", vocab_size=40, **options
    )
    return model.getvalue()


def write_vocabulary(folder, architecture):
    """Returns the size of the vocabulary."""
    if architecture == "XLMRoberta":
        (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece_model())
        config = {"tokenizer_class": "XLMRobertaTokenizer"}
        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.bpe.model"))
        size = len(model) + 2  # its own without three, and five of fairseq
    else:
        entries = [*(LIKE_KLUE_ROBERTA if architecture == "Roberta" else SPECIAL), *WORDS]
        (folder / "vocab.txt").write_text("\n".join(entries) + "\n", encoding="utf-8")
        config, size = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}, len(entries)
    (folder / "tokenizer_config.json").write_text(json.dumps(config) + "\n")
    return size


def write(folder, architecture, kind, **changes):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    size = write_vocabulary(folder, architecture)
    labels = LABELS[kind]
    if labels:
        changes = {"id2label": dict(enumerate(labels)), "num_labels": len(labels), **changes}
    config_class = getattr(transformers, f"{architecture}Config")
    config = config_class(**{**SIZES, **CHANGES[architecture], **changes, "vocab_size": size})
    torch.manual_seed(0)
    model = getattr(transformers, f"{architecture}For{kind}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    model.save_pretrained(folder)

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(TEXTS, PAIRS, padding=True, return_tensors="pt")
    if "Roberta" in architecture:
        inputs.pop("token_type_ids", None)
    with torch.no_grad():
        output = model(**inputs)
    logits = torch.stack([output.start_logits, output.end_logits], -1) if labels is None else output.logits
    np.savez_compressed(
        folder / "expected.npz",
        about=json.dumps({"torch": torch.__version__, "transformers": transformers.__version__}),
        texts=np.array(TEXTS),
        pairs=np.array(PAIRS),
        ids=inputs["input_ids"].numpy().astype("int16"),
        mask=inputs["attention_mask"].numpy().astype("int8"),
        logits=logits.numpy(),
    )
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    print(f"{folder.relative_to(HERE)}: {sum(sizes.values()):,} bytes", float(logits.min()), float(logits.max()))


def main():
    torch.set_num_threads(1)
    for architecture in CHANGES:
        for kind in LABELS:
            write(HERE / "tasks" / f"{architecture}For{kind}", architecture, kind)
    for name, options in (
        ("regression", dict(id2label={0: "LABEL_0"}, num_labels=1, problem_type="regression")),
        ("several", dict(problem_type="multi_label_classification")),
    ):
        write(HERE / "tasks" / f"BertForSequenceClassification-{name}", "Bert", "SequenceClassification", **options)


if __name__ == "__main__":
    main()
