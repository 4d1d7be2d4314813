"""How much of a context a recommendation starts from."""

ITEMS = 20  # newest products of a shopper
CONTENT_ITEMS = 10  # whose vectors are read: each is 1.5 kB, and what came before says little
ITEMS_OF = {"home": ITEMS, "product": 1, "basket": 3}  # of a walk: what a page of that surface would be asked from
