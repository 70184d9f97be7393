"""A small BERT, trained in one hour on two CPU cores.

Command: python -m tfkor.scripts.run_pretraining --recipe=bert_hour --shards=runs/shards --model_dir=runs/bert
Hardware: two cores of a CPU. Time: 58 minutes. Result: 15,778 steps, 28.5 million tokens in two epochs; on the
held-out set MLM loss 4.13 and MLM accuracy 32.6%. Accuracy after fine-tuning, mean of three seeds: intents176 57.1%,
3i4k 89.9%; from random weights 42.9% and 88.4% (benchmarks/pretraining_hour.py).

4 layers with a hidden size of 256, MLM only. Rows have 64 tokens, since utterances and reviews are short.
"""

SETTINGS = dict(
    model="bert",
    size="mini",
    objectives=["mlm"],
    max_positions=128,
    hidden_dropout=0.0,  # two epochs don't overfit, and drawing dropout masks takes time
    attention_dropout=0.0,
    precision="mixed_bfloat16",  # for a CPU with AMX; without AMX float32 is faster
    mask_rate=0.2,
    length=64,
    batch_size=32,
    packing=True,
    learning_rate=6e-4,
    warmup=0.1,  # with less, or a higher learning rate, the loss stays at that of token frequencies
    train_hours=1.0,
    eval_every=1000,
    log_every=100,
    save_every=500,
)
