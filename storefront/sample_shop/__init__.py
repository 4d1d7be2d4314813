"""A shop written for the project: products, queries and judgements composed from a hand-written grammar.

Pure Python, deterministic, no Django: `products.sample_products()`, `judgments.sample_queries()`,
`judgments.sample_judgments()`. The grammar is in `grammar/*.toml`, one file a category.
"""
