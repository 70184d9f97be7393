"""Whole checkpoints: folders of transformers out and in, TF 1 checkpoints in, and what is wrong with them."""

import json

import keras
import numpy as np
import pytest

from tfkor import (
    Albert,
    AlbertConfig,
    Bert,
    BertConfig,
    Electra,
    ElectraConfig,
    Roberta,
    RobertaConfig,
    TextClassifier,
    Tokenizer,
    zoo,
)
from tfkor.interop import load_pretrained, load_task, save_huggingface, save_task
from tfkor.interop.folders import with_todays_names
from tfkor.interop.huggingface import to_huggingface
from tfkor.interop.tensors import read_tensors
from tfkor.layers import DiscriminatorHead, MaskedLmHead, PairHead
from tfkor.tensor_files import write_safetensors

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "한국", "##어", "나", "##는", "학교", "Case"]
SMALL = dict(
    vocab_size=len(VOCAB), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
)  # fmt: skip
CASES = {
    "bert": (Bert, BertConfig, {}, ()),
    "bert mlm": (Bert, BertConfig, {}, (MaskedLmHead,)),
    "bert mlm nsp": (Bert, BertConfig, {}, (MaskedLmHead, PairHead)),
    "albert": (Albert, AlbertConfig, dict(embedding_size=4, num_hidden_groups=1), ()),
    "albert mlm sop": (Albert, AlbertConfig, dict(embedding_size=4), (MaskedLmHead, PairHead)),
    "roberta mlm": (Roberta, RobertaConfig, {}, (MaskedLmHead,)),
    "electra rtd": (Electra, ElectraConfig, dict(embedding_size=4), (DiscriminatorHead,)),
    "electra mlm": (Electra, ElectraConfig, dict(embedding_size=8), (MaskedLmHead,)),
}


def make(name):
    encoder_class, config_class, changes, heads = CASES[name]
    encoder = encoder_class(config_class(**SMALL, max_position_embeddings=20, **changes))
    heads = [head.of(encoder) for head in heads]
    randomise([encoder, *heads])
    return encoder, heads


def randomise(models):
    random = np.random.default_rng(0)
    for model in models:
        for variable in model.trainable_variables:
            variable.assign(random.normal(size=variable.shape))


def assert_equal(ours, theirs, heads=()):
    for variable, other in zip(ours.trainable_variables, theirs.trainable_variables, strict=True):
        if heads is None or "pooler" not in variable.path:
            of_roberta = "roberta" in variable.path and variable.path.endswith("position_embeddings")
            first = 2 if of_roberta else 0  # the rows before are no token's
            np.testing.assert_array_equal(variable[first:], other[first:], err_msg=variable.path)


@pytest.fixture
def tokenizer():
    return Tokenizer.from_vocab(VOCAB, nfc=False)


@pytest.mark.parametrize("name", CASES)
def test_a_folder_that_was_written_is_read(name, tmp_path, tokenizer):
    encoder, heads = make(name)
    save_huggingface(tmp_path / "out", encoder, tokenizer, heads)
    found = load_pretrained(tmp_path / "out")
    assert type(found.encoder) is type(encoder) and found.encoder.config == encoder.config
    assert_equal(encoder, found.encoder)
    assert list(found.heads) == [type(head) for head in heads]
    for head in heads:
        assert_equal(head, found.heads[type(head)])
    assert found.tokenizer.fingerprint == tokenizer.fingerprint
    with pytest.raises(FileExistsError):
        save_huggingface(tmp_path / "out", encoder, tokenizer, heads)


def test_names_of_old_files_are_todays():
    old = {
        "bert.embeddings.position_ids": 0,
        "bert.embeddings.LayerNorm.gamma": 1,
        "bert.encoder.layer.0.output.LayerNorm.beta": 2,
        "bert.pooler.dense.bias": 3,
    }
    assert with_todays_names(old) == {
        "bert.embeddings.LayerNorm.weight": 1,
        "bert.encoder.layer.0.output.LayerNorm.bias": 2,
        "bert.pooler.dense.bias": 3,
    }


def edit(folder, change, **values):
    """Writes the tensors of a folder again, changed by `change(tensors)`, and its config with `values`."""
    tensors = read_tensors(folder)
    change(tensors)
    write_safetensors(folder / "model.safetensors", tensors)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


@pytest.mark.parametrize(
    "change, values, words",
    [
        (lambda t: t.pop("bert.encoder.layer.1.output.dense.bias"), {}, r"missing: bert\.encoder\.layer\.1\.output"),
        (lambda t: t.update({"bert.extra": t["cls.predictions.bias"]}), {}, r"not expected: bert\.extra"),
        (lambda t: t.update({"cls.predictions.bias": np.zeros(3, "f4")}), {}, r"wrong shape: cls\.predictions\.bias"),
        (lambda t: None, {"num_hidden_layers": 3}, r"missing: bert\.encoder\.layer\.2"),
        (lambda t: None, {"model_type": "gpt9"}, r"config\.json: model_type is 'gpt9'; expected one of bert"),
        (lambda t: None, {"model_type": None, "architectures": None}, "model_type is None"),
        (lambda t: None, {"hidden_size": "8"}, "hidden_size is '8'; expected a whole number"),
        (lambda t: None, {"hidden_dropout_prob": 2}, "hidden_dropout_prob is 2; expected a number"),
        (lambda t: None, {"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        (lambda t: None, {"hidden_act": "silu"}, "hidden_act is 'silu'"),
        (lambda t: None, {"hidden_act": ["gelu"]}, r"hidden_act is \['gelu'\]; expected a string"),
        (lambda t: None, {"vocab_size": 10**12}, "vocab_size is 1000000000000; expected a whole number"),
        (lambda t: t.update({"cls.predictions.bias": t["cls.predictions.bias"].astype("i8")}), {}, "of the type int64"),
    ],
)
def test_a_folder_that_does_not_fit_is_named(change, values, words, tmp_path, tokenizer):
    encoder, heads = make("bert mlm")
    folder = tmp_path / "out"
    save_huggingface(folder, encoder, tokenizer, heads)
    edit(folder, change, **values)
    with pytest.raises(ValueError, match=words):
        load_pretrained(folder)


def test_a_config_that_is_no_config_is_named(tmp_path, tokenizer):
    encoder, heads = make("bert mlm")
    save_huggingface(tmp_path / "out", encoder, tokenizer, heads)
    config = tmp_path / "out/config.json"
    values = json.loads(config.read_text())
    values["architectures"] = "BertForMaskedLM"
    del values["model_type"]
    config.write_text(json.dumps(values))
    assert type(load_pretrained(tmp_path / "out").encoder) is Bert
    config.write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"config\.json: not JSON"):
        load_pretrained(tmp_path / "out")


def test_the_encoder_of_a_fine_tuned_model_is_read(tmp_path, tokenizer):
    encoder, _ = make("bert")
    save_task(tmp_path / "out", TextClassifier(encoder, labels=["a", "b"], tokenizer=tokenizer, max_length=8))
    found = load_pretrained(tmp_path / "out")
    assert_equal(encoder, found.encoder)
    assert not found.heads
    values = json.loads((tmp_path / "out/config.json").read_text())
    for labels, words in (
        ({"0": "a", "2": "b"}, r"id2label has \['0', '2'\]; expected an object with the keys"),
        (["a", "b"], "id2label has list"),
        ({"0": "a", "1": "a"}, r"the labels of id2label are \['a', 'a'\]; expected strings, each once"),
    ):
        (tmp_path / "out/config.json").write_text(json.dumps({**values, "id2label": labels}))
        with pytest.raises(ValueError, match=words):
            load_task(tmp_path / "out")


def test_files_that_are_missing_are_named(tmp_path, tokenizer):
    encoder, heads = make("bert")
    folder = tmp_path / "out"
    save_huggingface(folder, encoder, tokenizer, heads)
    (folder / "vocab.txt").unlink()
    assert load_pretrained(folder).tokenizer.vocab == VOCAB  # of tokenizer.json
    (folder / "tokenizer.json").unlink()
    assert load_pretrained(folder).tokenizer is None
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no weights"):
        load_pretrained(folder)
    with pytest.raises(FileNotFoundError, match=r"no config\.json and 0 files \*\.index"):
        (folder / "config.json").unlink()
        load_pretrained(folder)
    with pytest.raises(FileNotFoundError, match="no such folder; expected one, or a name as klue/bert-base"):
        load_pretrained(tmp_path / "nowhere")


def test_a_name_without_a_network_is_told(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def nothing(*arguments, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(hub, "snapshot_download", nothing)
    with pytest.raises(ConnectionError, match=r"klue/bert-base could not be fetched \(OSError: no route to host\)"):
        load_pretrained("klue/bert-base")


def test_options_of_a_tokenizer_are_read(tmp_path):
    encoder, _ = make("bert")
    folder = tmp_path / "out"
    save_huggingface(folder, encoder, Tokenizer.from_vocab([*VOCAB[:-1], "case"], lowercase=True, nfc=False))
    found = load_pretrained(folder).tokenizer
    assert found.normalizer.lowercase and not found.normalizer.nfc
    assert load_pretrained(folder, nfc=True).tokenizer.normalizer.nfc
    for config, words in (
        ({}, "strips accents and so takes Hangul apart"),
        ({"do_lower_case": True}, "strips accents"),
        ({"do_lower_case": False, "strip_accents": True}, "strips accents"),
        ({"do_lower_case": False, "tokenize_chinese_chars": False}, "tokenize_chinese_chars is false"),
    ):
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        with pytest.raises(ValueError, match=words):
            load_pretrained(folder)
    assert not load_pretrained(folder, lowercase=False).tokenizer.normalizer.lowercase
    with pytest.raises(ValueError, match="alphabet is 'jamo'"):
        save_huggingface(tmp_path / "jamo", encoder, Tokenizer.from_vocab(VOCAB, alphabet="jamo"))
    assert not (tmp_path / "jamo").exists()


# === TF 1 ===

BERT_LEAVES = {
    "attention.self.query.": "attention/self/query/",
    "attention.self.key.": "attention/self/key/",
    "attention.self.value.": "attention/self/value/",
    "attention.output.dense.": "attention/output/dense/",
    "attention.output.LayerNorm.": "attention/output/LayerNorm/",
    "intermediate.dense.": "intermediate/dense/",
    "output.dense.": "output/dense/",
    "output.LayerNorm.": "output/LayerNorm/",
}
ALBERT_LEAVES = {
    "attention.query.": "attention_1/self/query/",
    "attention.key.": "attention_1/self/key/",
    "attention.value.": "attention_1/self/value/",
    "attention.dense.": "attention_1/output/dense/",
    "attention.LayerNorm.": "LayerNorm/",
    "ffn.": "ffn_1/intermediate/dense/",
    "ffn_output.": "ffn_1/intermediate/output/dense/",
    "full_layer_layer_norm.": "LayerNorm_1/",
}
HEAD_NAMES = {
    "cls.predictions.transform.dense.": "cls/predictions/transform/dense/",
    "cls.predictions.transform.LayerNorm.": "cls/predictions/transform/LayerNorm/",
    "cls.predictions.bias": "cls/predictions/output_bias",
    "cls.seq_relationship.weight": "cls/seq_relationship/output_weights",
    "cls.seq_relationship.bias": "cls/seq_relationship/output_bias",
    "predictions.dense.": "cls/predictions/transform/dense/",
    "predictions.LayerNorm.": "cls/predictions/transform/LayerNorm/",
    "predictions.bias": "cls/predictions/output_bias",
    "sop_classifier.classifier.weight": "cls/seq_relationship/output_weights",
    "sop_classifier.classifier.bias": "cls/seq_relationship/output_bias",
    "discriminator_predictions.dense.": "discriminator_predictions/dense/",
    "discriminator_predictions.dense_prediction.": "discriminator_predictions/dense_1/",
    "generator_predictions.dense.": "generator_predictions/dense/",
    "generator_predictions.LayerNorm.": "generator_predictions/LayerNorm/",
    "generator_lm_head.bias": "generator_predictions/output_bias",
}


def in_google_names(tensors, scope, kind):
    """Tensors under Hugging Face's names -> under those of google-research, written out by its modeling.py."""
    out = {}
    for name, value in tensors.items():
        new, body = name, name.partition(".")[2]
        if body.startswith("embeddings."):
            new = f"{'electra' if kind == 'electra' else scope}/{body.removesuffix('.weight').replace('.', '/')}"
            new = new.replace("LayerNorm", "LayerNorm/gamma" if name.endswith("weight") else "LayerNorm")
            new = new.replace("LayerNorm/bias", "LayerNorm/beta")
        elif "encoder.layer." in name or "albert_layers" in name:
            number = "".join(filter(str.isdigit, body.partition("LayerNorm")[0].split("albert_layers")[0]))
            leaves = BERT_LEAVES if "encoder.layer." in name else ALBERT_LEAVES
            folder = f"layer_{number}" if leaves is BERT_LEAVES else f"transformer/group_{number}/inner_group_0"
            rest = body.partition(f"layer.{number}.")[2] or body.partition("albert_layers.0.")[2]
            leaf = next(leaf for leaf in sorted(leaves, key=len, reverse=True) if rest.startswith(leaf))
            new = f"{scope}/encoder/{folder}/{leaves[leaf]}{parameter(rest[len(leaf) :], leaves[leaf])}"
        elif name in HEAD_NAMES:
            new = HEAD_NAMES[name]
        elif head := [head for head in HEAD_NAMES if head.endswith(".") and name.startswith(head)]:
            new = HEAD_NAMES[head[0]] + parameter(name[len(head[0]) :], HEAD_NAMES[head[0]])
        elif body.startswith("pooler."):
            new = f"{scope}/pooler/dense/{parameter(body.rpartition('.')[2], '')}"
        else:  # projections
            new = f"{scope}/{body.rpartition('.')[0].replace('.', '/')}/{parameter(body.rpartition('.')[2], '')}"
        out[new] = value.T if new.endswith("/kernel") else value
    return out


def parameter(name, leaf):
    norm = "LayerNorm" in leaf
    return {"weight": "gamma" if norm else "kernel", "bias": "beta" if norm else "bias"}[name]


def write_tf1(folder, variables):
    tf = pytest.importorskip("tensorflow")
    folder.mkdir(parents=True, exist_ok=True)
    slots = {f"{name}/adam_m": value for name, value in list(variables.items())[:3]} | {"global_step": np.int64(7)}
    names, values = zip(*{**variables, **slots}.items())
    tf.raw_ops.SaveV2(
        prefix=str(folder / "model.ckpt"), tensor_names=names, shape_and_slices=[""] * len(names),
        tensors=[tf.constant(value) for value in values],
    )  # fmt: skip


def without_copies(encoder, heads):
    """The tensors of a model, each weight once."""
    return {name: value for name, value in to_huggingface(encoder, heads).items() if "decoder" not in name}


@pytest.mark.parametrize("name", ["bert mlm nsp", "albert mlm sop"])
def test_a_tf1_checkpoint_of_google_is_read(name, tmp_path):
    encoder, heads = make(name)
    kind = name.split()[0]
    variables = in_google_names(without_copies(encoder, heads), "bert", kind)
    assert any("layer_1/attention/self/query/kernel" in name or "inner_group_0" in name for name in variables)
    write_tf1(tmp_path, variables)
    config = {**encoder.config.to_dict(), "hidden_act": "gelu", "type_vocab_size": 2}
    (tmp_path / f"{kind}_config.json").write_text(json.dumps(config))
    (tmp_path / "vocab.txt").write_text("\n".join(VOCAB))
    found = load_pretrained(tmp_path, lowercase=False)
    assert found.encoder.config.hidden_act == "gelu_new"  # Google's gelu is the one by tanh
    assert_equal(encoder, found.encoder, heads=None)
    for head in heads:
        assert_equal(head, found.heads[type(head)])
    assert found.tokenizer.vocab == VOCAB


def test_both_networks_of_a_tf1_electra_are_read(tmp_path):
    config = ElectraConfig(**{**SMALL, "hidden_size": 128, "embedding_size": 16}, max_position_embeddings=20)
    discriminator = Electra(config)
    narrow = ElectraConfig(**{**config.to_dict(), "hidden_size": 64, "num_attention_heads": 1})
    generator = Electra(narrow, embeddings=discriminator.embeddings)
    heads = DiscriminatorHead.of(discriminator), MaskedLmHead.of(generator)
    randomise([discriminator, generator, *heads])
    variables = in_google_names(without_copies(discriminator, heads[:1]), "electra", "electra")
    tensors = without_copies(generator, heads[1:])
    tensors.pop("generator_lm_head.weight")
    variables |= in_google_names(tensors, "generator", "electra")
    assert "generator/embeddings_project/kernel" in variables and "electra/embeddings/word_embeddings" in variables
    write_tf1(tmp_path, variables)
    for model, head, which in ((discriminator, heads[0], False), (generator, heads[1], True)):
        found = load_pretrained(tmp_path, generator=which)
        assert found.encoder.config == model.config and found.tokenizer is None
        assert_equal(model, found.encoder)
        assert_equal(head, found.heads[type(head)])


def test_another_tf1_checkpoint_is_named(tmp_path):
    write_tf1(tmp_path, {"model/wte": np.zeros((3, 2), "float32")})
    with pytest.raises(ValueError, match=r"no variables of google-research/bert, albert or electra; found model/wte"):
        load_pretrained(tmp_path)
    data = next(tmp_path.glob("*.data-*"))
    data.write_bytes(data.read_bytes()[:5])
    with pytest.raises(ValueError, match="expected a whole TF 1 checkpoint"):
        load_pretrained(tmp_path)


def test_the_zoo_loads_published_checkpoints_too(tmp_path, tokenizer):
    encoder, heads = make("electra rtd")
    save_huggingface(tmp_path / "out", encoder, tokenizer, heads)
    found, its_tokenizer = zoo.load(tmp_path / "out", hidden_dropout_prob=0.3)
    assert_equal(encoder, found)
    assert its_tokenizer.fingerprint == tokenizer.fingerprint and found.config.hidden_dropout_prob == 0.3


def test_other_precisions_and_dropouts_can_be_asked_for(tmp_path, tokenizer):
    encoder, heads = make("bert")
    save_huggingface(tmp_path / "out", encoder, tokenizer, heads)
    found = load_pretrained(tmp_path / "out", dtype="mixed_bfloat16", hidden_dropout_prob=0.3)
    assert found.encoder.config.hidden_dropout_prob == 0.3
    assert found.encoder.dtype_policy == keras.DTypePolicy("mixed_bfloat16")
