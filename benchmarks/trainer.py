"""Training with transformers.Trainer, shared by the benchmarks."""

import tempfile


def train(job, model, rows, tokenizer, collator, grouped, **more):
    """Trains `model` on `rows` with the job's settings; grouped: batches of rows of similar lengths."""
    from transformers import Trainer, TrainingArguments

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=job.epochs,
            per_device_train_batch_size=job.batch_size,
            learning_rate=job.learning_rate,
            warmup_steps=job.warmup,
            weight_decay=job.weight_decay,
            adam_epsilon=1e-6,
            max_grad_norm=job.clip_norm,
            train_sampling_strategy="group_by_length" if grouped else "random",
            seed=job.seed,
            use_cpu=True,
            dataloader_pin_memory=False,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **more,
        )
        Trainer(model, arguments, collator, train_dataset=rows, processing_class=tokenizer).train()
