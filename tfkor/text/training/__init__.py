"""Training of tokenizers: WordPiece, BPE and Unigram from text, and reports on what they make of it."""
