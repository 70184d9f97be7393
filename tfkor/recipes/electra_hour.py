"""A small ELECTRA from an hour on two CPU cores.

Command: python -m tfkor.scripts.run_pretraining --recipe=electra_hour --shards=runs/shards --model_dir=runs/electra
Hardware, time: two cores of a CPU, one hour. Result: not measured yet; benchmarks/pretraining_hour.py measures it.

4 layers, 256 wide; the generator has a quarter of the width. Rows of 64 ids: utterances and reviews are short.
"""

FLAGS = dict(
    model="electra",
    size="mini",
    max_positions=128,
    hidden_dropout=0.0,  # an hour sees each text once or twice: nothing to overfit, and drawing the masks takes time
    attention_dropout=0.0,
    precision="mixed_bfloat16",  # on a CPU with AMX; without it float32 is faster
    masking=["whole_word"],
    length=64,
    batch_size=32,
    packing=True,
    learning_rate=1e-3,
    warmup=0.05,
    train_hours=1.0,
    evaluate_every=1000,
    log_every=100,
    save_every=500,
)
