"""Sentences to mentions: the registry of annotators, batched inference, training and evaluation.

Importing this package, or its registry, imports neither torch nor a tokenizer: only loading an annotator does.
"""
