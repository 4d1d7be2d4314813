"""How much of a context a recommendation starts from."""

ITEMS = 20  # newest products of a shopper
CONTENT_ITEMS = 10  # whose vectors are read: each is 1.5 kB, and what came before says little
