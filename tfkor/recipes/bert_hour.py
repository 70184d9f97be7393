"""A small BERT from an hour on two CPU cores.

Command: python -m tfkor.scripts.run_pretraining --recipe=bert_hour --shards=runs/shards --model_dir=runs/bert
Hardware, time: two cores of a CPU, 58 minutes. Result: 15,778 steps, 28.5 million tokens in two passes; MLM loss on
held-out text 4.13, 32.6% of the masked tokens right. Fine-tuned with three seeds: intents176 57.1%, 3i4k 89.9% (from
random weights 42.9% and 88.4%; benchmarks/pretraining_hour.py).

4 layers, 256 wide; masked tokens only. Rows of 64 ids: utterances and reviews are short.
"""

SETTINGS = dict(
    model="bert",
    size="mini",
    objectives=["mlm"],
    max_positions=128,
    hidden_dropout=0.0,  # an hour sees each text twice at most: nothing to overfit, and drawing the masks takes time
    attention_dropout=0.0,
    precision="mixed_bfloat16",  # on a CPU with AMX; without it float32 is faster
    mask_rate=0.2,
    length=64,
    batch_size=32,
    packing=True,
    learning_rate=6e-4,
    warmup=0.1,  # with a short one, or a higher rate, the loss stays at that of word frequencies
    train_hours=1.0,
    eval_every=1000,
    log_every=100,
    save_every=500,
)
