"""Metrics, equal to those of the official scripts for the same predictions, from 0 to 1 (not percent)."""

from tfkor.metrics.answers import klue_mrc_report, korquad_report
from tfkor.metrics.classification import class_report, multi_label_report, regression_report
from tfkor.metrics.dependencies import dependency_report
from tfkor.metrics.dialogue import dialogue_report
from tfkor.metrics.entities import entities_of, entity_report, klue_ner_report
from tfkor.metrics.relations import relation_report

__all__ = [
    "class_report",
    "dependency_report",
    "dialogue_report",
    "entities_of",
    "entity_report",
    "klue_mrc_report",
    "klue_ner_report",
    "korquad_report",
    "multi_label_report",
    "regression_report",
    "relation_report",
]
