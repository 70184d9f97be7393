"""Folders of transformers, there and back: encoders, pretraining heads, fine-tuned models, tokenizers."""

import json

import numpy as np
import pytest
from keras import ops

from tfkor.interop import load_pretrained, load_task, save_huggingface, save_task
from tfkor.layers.pooling import get_pooling

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "한국", "##어", "나", "##는", "학교", "##에", "韓", "Case", "."]
SIZES = dict(
    vocab_size=len(VOCAB), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=40,
)  # fmt: skip
CHANGES = {
    "Albert": dict(embedding_size=8, classifier_dropout_prob=0.0),
    "Bert": {},
    "DebertaV2": dict(
        type_vocab_size=0, relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm", share_att_key=True,
        pos_att_type=["p2c", "c2p"], position_biased_input=False,
    ),
    "Electra": dict(embedding_size=8),
    "Roberta": dict(type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2),
    "XLMRoberta": dict(type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2),
}  # fmt: skip
TEXTS = ["한국어 나는 학교에.", "나는 韓Case", "학교에 모르는것"]
PAIRS = ["나는 학교에", "한국어.", "나"]
TASKS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")


@pytest.fixture(autouse=True)
def _libraries(transformers):
    """All tests here compare with transformers."""


def make(name, architecture, folder, safe=True, **changes):
    """A model of transformers with random weights, and its folder."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{architecture}Config")(**{**SIZES, **CHANGES[architecture], **changes})
    model = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    model.save_pretrained(folder)
    if not safe:
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    klue = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]  # the order of klue/roberta-base
    first = klue if "Roberta" in architecture else VOCAB[:5]
    (folder / "vocab.txt").write_text("\n".join([*first, *VOCAB[5:]]), "utf-8")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    return model


def run_there(model, inputs):
    import torch

    ids, mask, types = (torch.from_numpy(np.asarray(value)).long() for value in inputs.values())
    types = {} if "roberta" in type(model).__name__.lower() else {"token_type_ids": types}
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=mask, **types)


def assert_same_state(model, folder):
    """The folder gives `model` again, bit for bit."""
    import torch

    again = type(model).from_pretrained(folder).state_dict()
    assert list(again) == list(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(value, again[name]), name


def assert_same_tokens(tokenizer, folder):
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(folder)
    assert theirs(TEXTS)["input_ids"] == tokenizer.pack(tokenizer.ids(TEXTS))[0].to_lists()
    found, types = tokenizer.pack(tokenizer.ids(TEXTS), tokenizer.ids(PAIRS))
    both = theirs(TEXTS, PAIRS)
    assert both["input_ids"] == found.to_lists()
    assert both.get("token_type_ids", types.to_lists()) == types.to_lists()


HEADED = {
    "Albert": ("AlbertModel", "AlbertForMaskedLM", "AlbertForPreTraining"),
    "Bert": ("BertModel", "BertForMaskedLM", "BertForPreTraining"),
    "DebertaV2": ("DebertaV2Model", "DebertaV2ForMaskedLM"),
    "Electra": ("ElectraModel", "ElectraForMaskedLM", "ElectraForPreTraining"),
    "Roberta": ("RobertaModel", "RobertaForMaskedLM"),
    "XLMRoberta": ("XLMRobertaModel", "XLMRobertaForMaskedLM"),
}


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "pickle"])
@pytest.mark.parametrize("name", [name for names in HEADED.values() for name in names])
def test_an_encoder_goes_there_and_back(name, safe, tmp_path):
    architecture = next(each for each in HEADED if name in HEADED[each])
    model = make(name, architecture, tmp_path / "there", safe)
    found = load_pretrained(tmp_path / "there")
    inputs = found.tokenizer(TEXTS, PAIRS)
    base = getattr(model, model.base_model_prefix, model)
    expected = run_there(base, inputs).last_hidden_state.numpy()
    _, ours = found.encoder(list(inputs.values()))
    mask = inputs["input_mask"][..., None]
    np.testing.assert_allclose(ops.convert_to_numpy(ours) * mask, expected * mask, atol=1e-4)
    save_huggingface(tmp_path / "back", found.encoder, found.tokenizer, list(found.heads.values()))
    assert_same_state(model, tmp_path / "back")
    assert_same_tokens(found.tokenizer, tmp_path / "back")
    with np.testing.suppress_warnings():
        again = load_pretrained(tmp_path / "back")
    assert list(again.heads) == list(found.heads)


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("architecture", ["Albert", "Bert", "DebertaV2", "Electra", "Roberta", "XLMRoberta"])
def test_a_fine_tuned_model_goes_there_and_back(architecture, kind, tmp_path):
    names = {i: f"B-{i}" for i in range(3)} if kind == TASKS[1] else {i: f"class {i}" for i in range(3)}
    labels = {} if kind == TASKS[2] else {"id2label": names, "num_labels": 3}
    model = make(architecture + kind, architecture, tmp_path / "there", **labels)
    options = dict(max_length=24, stride=4, max_question=8) if kind == TASKS[2] else dict(max_length=24)
    task = load_task(tmp_path / "there", **options)
    inputs = task.tokenizer(TEXTS, PAIRS)
    expected = run_there(model, inputs)
    if kind == TASKS[2]:
        expected = np.stack([expected.start_logits, expected.end_logits], axis=-1)
    else:
        expected = expected.logits.numpy()
        assert task.labels == list(names.values())
    found = ops.convert_to_numpy(task.model(list(inputs.values())))
    mask = inputs["input_mask"][..., None] if found.ndim == 3 else 1
    np.testing.assert_allclose(found * mask, expected * mask, atol=1e-4)
    save_task(tmp_path / "back", task)
    assert_same_state(model, tmp_path / "back")
    config = json.loads((tmp_path / "back/config.json").read_text())
    assert config["architectures"] == [architecture.removeprefix("XLM") + kind]  # XLM-R is a RoBERTa


def test_a_deberta_in_the_form_of_v2_goes_there_and_back(tmp_path):
    """With keys and queries of positions by themselves, segments and absolute positions, no buckets, no norm."""
    changes = dict(relative_attention=True, pos_att_type="c2p|p2c", type_vocab_size=2)
    changes |= dict(position_buckets=-1, norm_rel_ebd="none", share_att_key=False, position_biased_input=True)
    model = make("DebertaV2ForMaskedLM", "DebertaV2", tmp_path / "there", **changes)
    found = load_pretrained(tmp_path / "there")
    assert (found.encoder.config.span, found.encoder.config.pos_att_type) == (40, "c2p|p2c")
    save_huggingface(tmp_path / "back", found.encoder, found.tokenizer, list(found.heads.values()))
    assert_same_state(model, tmp_path / "back")


def test_files_as_microsoft_writes_them_are_read(tmp_path):
    """The enhanced head's names, the head of the generator, absolute positions that nothing uses."""
    from tfkor.layers import MaskedLmHead
    from tfkor.tensor_files import read_safetensors, write_safetensors

    model = make("DebertaV2ForMaskedLM", "DebertaV2", tmp_path / "there", legacy=False)
    tensors = read_safetensors(tmp_path / "there/model.safetensors")
    assert "lm_predictions.lm_head.dense.weight" in tensors
    tensors["mask_predictions.dense.weight"] = np.ones((16, 16), "float32")
    tensors["deberta.embeddings.position_embeddings.weight"] = np.ones((40, 16), "float32")
    write_safetensors(tmp_path / "there/model.safetensors", tensors)
    found = load_pretrained(tmp_path / "there")
    inputs = found.tokenizer(TEXTS, PAIRS)
    expected = run_there(model, inputs).logits.numpy()
    _, sequence = found.encoder(list(inputs.values()))
    logits = found.heads[MaskedLmHead](sequence, found.encoder.word_embeddings)
    np.testing.assert_allclose(ops.convert_to_numpy(logits), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(conv_kernel_size=3), "conv_kernel_size is 3; tfkor's models have 0"),
        (dict(embedding_size=8), "embedding_size is 8; tfkor's DeBERTa has that of hidden_size"),
        (dict(attention_head_size=4), "attention_head_size is 4; tfkor's DeBERTa has hidden_size by heads"),
        (dict(pooler_hidden_act="tanh"), "pooler_hidden_act is 'tanh'; tfkor's models have 'gelu'"),
    ],
)
def test_a_deberta_that_tfkor_does_not_have_is_named(changes, message, tmp_path):
    make("DebertaV2Model", "DebertaV2", tmp_path / "there")
    path = tmp_path / "there/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ValueError, match=rf"config\.json: {message}"):
        load_pretrained(tmp_path / "there")


def test_a_fine_tuned_deberta_is_read_as_an_encoder(tmp_path):
    make("DebertaV2ForSequenceClassification", "DebertaV2", tmp_path / "there", num_labels=3)
    assert load_pretrained(tmp_path / "there").heads == {}


def test_a_roberta_of_tfkor_counts_its_positions_there_too(tmp_path):
    """Its tokenizer has [UNK] where RoBERTa's has the padding, and pairs are of one segment."""
    import transformers

    from tfkor.models import Roberta, RobertaConfig
    from tfkor.tasks import TextClassifier
    from tfkor.text import Tokenizer

    encoder = Roberta(RobertaConfig(**SIZES))
    for variable in encoder.trainable_variables:
        variable.assign(np.random.default_rng(variable.shape[0]).normal(scale=0.3, size=variable.shape))
    task = TextClassifier(encoder, tokenizer=Tokenizer.from_vocab(VOCAB), labels=["a", "b"], max_length=24)
    inputs = task.tokenizer(TEXTS, PAIRS)
    assert (inputs["input_word_ids"] == task.tokenizer.unk_id).any() and (inputs["input_mask"] == 0).any()
    expected = ops.convert_to_numpy(task.model(list(inputs.values())))
    save_task(tmp_path / "out", task)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    tokens = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    found = model(**tokens(TEXTS, PAIRS, padding=True, return_tensors="pt")).logits.detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    again = load_task(tmp_path / "out", max_length=24)
    np.testing.assert_array_equal(ops.convert_to_numpy(again.model(list(inputs.values()))), expected)
    assert again.tokenizer.fingerprint == task.tokenizer.fingerprint
    (tmp_path / "out/config.json").write_text(
        (tmp_path / "out/config.json").read_text().replace('"pad_token_id": 0', '"pad_token_id": -1')
    )
    with pytest.raises(ValueError, match=r"config\.json: pad_token_id is -1; expected an id"):
        load_task(tmp_path / "out")


def test_a_relation_model_goes_there_with_its_markers(tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from tfkor.tasks import RelationExtractor

    make("BertModel", "Bert", tmp_path / "there")
    found = load_pretrained(tmp_path / "there")
    task = RelationExtractor(found.encoder, tokenizer=found.tokenizer, max_length=24)
    save_task(tmp_path / "out", task)
    text = "<subj:PER>나는</subj:PER> <obj:ORG>학교에</obj:ORG>."
    inputs = task.tokenizer([text])
    assert len({*task.tokenizer.ids([text]).values}) == 9
    expected = ops.convert_to_numpy(task.classifier.model(list(inputs.values())))
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")(text, return_tensors="pt")
    assert theirs["input_ids"].tolist() == inputs["input_word_ids"].tolist()
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    np.testing.assert_allclose(model(**theirs).logits.detach().numpy(), expected, atol=1e-4)


def test_a_regression_and_several_labels_go_there_and_back(tmp_path):
    for options, activation in (
        (dict(num_labels=1), "linear"),
        (dict(num_labels=3, problem_type="multi_label_classification"), "sigmoid"),
    ):
        model = make("BertForSequenceClassification", "Bert", tmp_path / activation, **options)
        task = load_task(tmp_path / activation, max_length=24)
        assert task.activation == activation
        inputs = task.tokenizer(TEXTS)
        np.testing.assert_allclose(
            ops.convert_to_numpy(task.model(list(inputs.values()))), run_there(model, inputs).logits, atol=1e-4
        )
        save_task(tmp_path / f"{activation} back", task)
        assert_same_state(model, tmp_path / f"{activation} back")


def test_what_has_no_counterpart_is_named(tmp_path):
    make("BertForMaskedLM", "Bert", tmp_path / "mlm")
    with pytest.raises(ValueError, match="architectures is 'BertForMaskedLM'; expected one of BertForSequence"):
        load_task(tmp_path / "mlm")
    make("BertForSequenceClassification", "Bert", tmp_path / "task", num_labels=3)
    task = load_task(tmp_path / "task", max_length=24)
    task.pooling = get_pooling("max")
    with pytest.raises(ValueError, match="pooling is 'max'; transformers has no such classifier"):
        save_task(tmp_path / "max", task)
    config = json.loads((tmp_path / "task/config.json").read_text())
    config["id2label"] = {"0": "a", "1": "b"}
    (tmp_path / "task/config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"classifier\.weight is \(3, 16\); expected \(2, 16\)"):
        load_task(tmp_path / "task", max_length=24)
