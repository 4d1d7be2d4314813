"""What happens to queries on the way from head to keyboard, seeded and at a fixed rate (pure)."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from string import ascii_lowercase

SHORTEST = 4  # letters: shorter words are seldom mistyped, and then they are other words


def typed(query: str, *, rate: float, rng: random.Random) -> str:
    """Each word of four letters or more gets a typing error with this chance: letters swapped, lost, doubled or mistaken."""
    return " ".join(
        _mistyped(word, rng) if len(word) >= SHORTEST and rng.random() < rate else word for word in query.split()
    )


def dropped(query: str, *, rate: float, rng: random.Random) -> str:
    """Each word is left out with this chance; one at least stays."""
    words = query.split()
    kept = [word for word in words if rng.random() >= rate]
    return " ".join(kept or [rng.choice(words)])


def _mistyped(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word) - 1)  # first letters are seldom wrong
    return rng.choice([
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + rng.choice(ascii_lowercase) + word[at + 1 :],
    ])  # fmt: skip


Perturb = Callable[..., str]
PERTURBED: Mapping[str, Perturb] = {"typed": typed, "dropped": dropped}
