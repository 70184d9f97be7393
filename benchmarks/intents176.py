"""intents176: the classifier from random initialisation beside TF-IDF with logistic regression; out-of-scope detection.

  python benchmarks/intents176.py

Three measurements: accuracy on the test split over several seeds; that of TF-IDF + logistic regression (character
unigrams and bigrams, `char_wb`, C chosen on dev among 1, 3, 10, 30, 100); and how well the largest probability
separates known intents from others: one intent of each domain is held out of training, and its test rows are out of
scope; so are lines of the chatbot data (songys/Chatbot_data), which express no intent, if TFKOR_DATA has them. The
threshold is that of `TextClassifier.calibrate` on dev, for 95% acceptance. Needs scikit-learn. The last line is one
JSON object.
"""

import csv
import os
from pathlib import Path

import numpy as np
from absl import flags

from tfkor.data import TextData, load_intents176
from tfkor.metrics.classification import auroc, class_report
from tfkor.scripts import run_program
from tfkor.scripts.quickstart import EPOCHS, new_classifier, train

FLAGS = flags.FLAGS


def define_flags():
    flags.DEFINE_integer("seeds", 3, "Runs of the classifier.")
    flags.DEFINE_integer("epochs", EPOCHS, "Maximum number of epochs.")
    flags.DEFINE_integer("chatbot_rows", 2000, "Lines of the chatbot data to use as out-of-scope texts.")


def tf_idf():
    """Test metrics of TF-IDF + logistic regression, with the C that is best on dev."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    train_data, dev, test = (load_intents176(split) for split in ("train", "dev", "test"))
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 2), sublinear_tf=True)
    features = vectorizer.fit_transform(train_data.texts)
    models = [LogisticRegression(C=c, max_iter=2000).fit(features, train_data.labels) for c in (1, 3, 10, 30, 100)]
    best = max(models, key=lambda model: model.score(vectorizer.transform(dev.texts), dev.labels))
    names = sorted(set(train_data.labels))
    truth, found = (np.searchsorted(names, x) for x in (test.labels, best.predict(vectorizer.transform(test.texts))))
    return {**class_report(truth, found, len(names)), "C": best.C}


def one_seed(seed):
    train_data, dev, test = (load_intents176(split) for split in ("train", "dev", "test"))
    classifier = new_classifier(train_data.texts, seed=seed)
    train(classifier, train_data, dev, FLAGS.epochs, seed)
    return {"seed": seed, **classifier.evaluate(test)}


def none_of_these(seed=0):
    """AUROC and rejection at 95% acceptance, with one intent of each domain held out of training."""
    train_data, dev, test = (load_intents176(split) for split in ("train", "dev", "test"))
    held_out = {}
    for name in train_data.labels:
        held_out[name.split(".")[0]] = name  # the last intent of each domain
    unknown = set(held_out.values())

    def known(data):
        return data.select([label not in unknown for label in data.labels])

    classifier = new_classifier(known(train_data).texts, 176 - len(unknown), seed)
    train(classifier, known(train_data), known(dev), FLAGS.epochs, seed)
    inside = classifier.predict_proba(known(test).texts).max(1)
    outside = {"held_out_intents": test.select([label in unknown for label in test.labels]).texts}
    if (chatbot := chatbot_lines()) is not None:
        outside["chatbot"] = chatbot[: FLAGS.chatbot_rows]
    metrics = {"held_out": len(unknown), "threshold": classifier.none_threshold}
    metrics["acceptance"] = float(np.mean(inside >= classifier.none_threshold))
    for name, texts in outside.items():
        scores = classifier.predict_proba(TextData(texts)).max(1)
        rejected = float(np.mean(scores < classifier.none_threshold))
        metrics[name] = {"texts": len(texts), "auroc": auroc(inside, scores), "rejected": rejected}
    return metrics


def chatbot_lines():
    path = Path(os.environ.get("TFKOR_DATA", "../shared/data")) / "chatbot" / "ChatbotData.csv"
    if not path.exists():
        print(f"no {path}: the chatbot lines are left out")
        return None
    with path.open(encoding="utf-8", newline="") as file:
        lines = [row["Q"] for row in csv.DictReader(file)]
    return [lines[i] for i in np.random.default_rng(0).permutation(len(lines))]


def job():
    baseline = tf_idf()
    print("TF-IDF + logistic regression:", baseline)
    runs = []
    for seed in range(FLAGS.seeds):
        runs.append(one_seed(seed))
        print("classifier:", runs[-1])
    accuracies = [run["accuracy"] for run in runs]
    mean, deviation = float(np.mean(accuracies)), float(np.std(accuracies, ddof=1)) if len(runs) > 1 else 0.0
    none = none_of_these()
    print("none of these:", none)
    print(f"\n| model | test accuracy |\n|---|--:|\n| TF-IDF + logistic regression | {baseline['accuracy']:.1%} |")
    print(f"| tfkor, random initialisation, {len(runs)} seeds | {mean:.1%} ± {deviation:.1%} |")
    return {"tf_idf": baseline, "accuracy": mean, "deviation": deviation, "runs": runs, "none_of_these": none}


if __name__ == "__main__":
    run_program(define_flags, job)
