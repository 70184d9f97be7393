"""Metrics of Korean encoders as their authors published them, in percent, for the table of `leaderboard`.

Compare only metrics of one source with each other: the evaluation protocols of the sources differ, and tfkor's is
another one again.

KoELECTRA  README of monologg/KoELECTRA at commit 024fbdd. NSMC, Naver NER, PAWS, KorNLI (XNLI), KorSTS and question
           pair on the test part, KorQuAD 1.0 and hate speech on dev. Its configurations have one seed, and where a task
           has no other part (NSMC, Naver NER, hate speech, KorQuAD) they evaluate on the reported part during training.
LMkor      README of kiyoungkim1/LMkor at commit a0212cd: the same tasks, without KorQuAD; it copies the rows of
           KoBERT, HanBERT and KoELECTRA-Base-v3 from KoELECTRA's.
KLUE       README of KLUE-benchmark/KLUE at commit 3efd987 (Park et al. 2021). The part is not stated;
           KLUE's test parts are not public. In KLUE-baseline's code UAS and LAS are macro F1 over head positions and
           over relations, and the entity F1 of NER is a macro F1 over types.
"""

SENTENCE_TASKS = (
    "nsmc accuracy",
    "naver-ner f1",
    "paws accuracy",
    "kornli accuracy",
    "korsts spearman",
    "question-pair accuracy",
    "hate-speech macro_f1",
    "korquad exact_match",
    "korquad f1",
)
KLUE_TASKS = (
    "ynat macro_f1",
    "klue-sts pearson",
    "klue-sts f1_at_3",
    "klue-nli accuracy",
    "klue-ner entity_f1",
    "klue-ner character_f1",
    "klue-re micro_f1",
    "klue-re auprc",
    "klue-dp uas_macro_f1",
    "klue-dp las_macro_f1",
    "klue-mrc exact_match",
    "klue-mrc rouge_w",
    "klue-dst joint_goal_accuracy",
    "klue-dst slot_f1",
)
# model | metrics in the order above, - where none was published
KOELECTRA = """
KoBERT             | 89.59 87.92 81.25 79.62 81.59 94.85 66.21 51.75 79.15
XLM-RoBERTa-Base   | 89.03 86.65 82.80 80.23 78.45 93.80 64.06 64.70 88.94
HanBERT            | 90.06 87.70 82.95 80.32 82.73 94.72 68.32 78.74 92.02
KoELECTRA-Base     | 90.33 87.18 81.70 80.64 82.00 93.54 66.09 60.86 89.28
KoELECTRA-Base-v2  | 89.56 87.16 80.70 80.72 82.30 94.85 67.45 84.01 92.40
KoELECTRA-Base-v3  | 90.63 88.11 84.45 82.24 85.53 95.25 67.61 84.83 93.45
DistilKoBERT       | 88.60 84.65 60.50 72.00 72.59 92.48 60.72 54.40 77.97
KoELECTRA-Small    | 88.83 84.38 73.10 76.45 76.56 93.01 63.03 58.04 86.76
KoELECTRA-Small-v2 | 88.83 85.00 72.35 78.14 77.84 93.27 60.14 81.43 90.46
KoELECTRA-Small-v3 | 89.36 85.40 77.45 78.60 80.79 94.85 63.07 82.11 91.13
"""
LMKOR = """
kcbert-base        | 89.87 85.00 67.40 75.57 75.94 93.93 68.78 - -
albert-kor-base    | 89.45 82.66 81.20 79.42 81.76 94.59 65.44 - -
bert-kor-base      | 90.87 87.27 82.80 82.32 84.31 95.25 68.45 - -
electra-kor-base   | 91.29 87.20 85.50 83.11 85.46 95.78 66.03 - -
funnel-kor-base    | 91.36 88.02 83.90 - 84.52 95.51 68.18 - -
"""
KLUE = """
mBERT-base         | 81.55 84.66 76.00 73.20 76.50 89.23 57.88 53.82 90.30 86.66 44.66 55.92 35.46 88.63
XLM-R-base         | 83.52 89.16 82.01 77.33 80.37 92.12 57.46 54.98 89.20 87.69 27.48 53.93 39.82 89.61
XLM-R-large        | 86.06 92.97 85.86 85.93 82.27 93.22 58.39 61.15 92.71 88.70 35.99 66.77 41.20 89.80
KR-BERT-base       | 84.58 88.61 81.07 77.17 74.58 90.13 62.74 60.94 89.92 87.48 48.28 58.54 45.33 90.70
koELECTRA-base     | 84.59 92.46 84.84 85.63 86.11 92.56 62.85 58.94 92.90 87.77 59.82 66.05 41.58 89.60
KLUE-BERT-base     | 85.73 90.85 82.84 81.63 83.97 91.39 66.44 66.17 89.96 88.05 62.32 68.51 46.64 91.61
KLUE-RoBERTa-small | 84.98 91.54 85.16 79.33 83.65 91.14 60.89 58.96 90.04 88.14 57.32 62.70 46.62 91.44
KLUE-RoBERTa-base  | 85.07 92.50 85.40 84.83 84.60 91.44 67.65 68.55 93.04 88.32 68.67 73.98 47.49 91.64
KLUE-RoBERTa-large | 85.69 93.35 86.63 89.17 85.00 91.86 71.13 72.98 93.48 88.36 75.58 80.59 50.22 92.23
"""
SOURCES = {
    "KoELECTRA": "https://github.com/monologg/KoELECTRA/blob/024fbdd/README.md",
    "LMkor": "https://github.com/kiyoungkim1/LMkor/blob/a0212cd/README.md",
    "KLUE": "https://github.com/KLUE-benchmark/KLUE/blob/3efd987/README.md",
}


def published_metrics() -> list[tuple[str, str, dict[str, float]]]:
    """[(model, source, {"task metric": percent})], in the order of the tables."""
    out = []
    tables = (("KoELECTRA", KOELECTRA, SENTENCE_TASKS), ("LMkor", LMKOR, SENTENCE_TASKS), ("KLUE", KLUE, KLUE_TASKS))
    for source, table, columns in tables:
        for line in table.strip().splitlines():
            model, values = line.split("|")
            metrics = zip(columns, values.split(), strict=True)
            out.append((model.strip(), source, {name: float(value) for name, value in metrics if value != "-"}))
    return out
