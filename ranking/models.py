"""The read models of ranking that people look at. What searches read is made in sql/tables.sql."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class ResultList(models.Model):
    """What a busy query found when it was last refreshed, written by `ranking.projections.result_lists` only.

    It never serves a search. A retired list keeps its row, so that its stream's version is known when the query is back.
    """

    id = models.BigIntegerField(primary_key=True)  # position of the list's first event: the same after every rebuild
    shop_id = models.IntegerField()
    context_key = models.TextField()
    query = models.TextField()  # as it was asked
    items = ArrayField(models.TextField())  # product ids, best first
    scores = ArrayField(models.FloatField())
    previous_items = ArrayField(models.TextField(), null=True)  # of the list before; null: there was none
    overlap = models.FloatField(null=True)  # rank-biased, with the list before
    model = models.TextField()
    as_of_position = models.BigIntegerField()
    reason = models.TextField()
    refreshed_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)
    version = models.IntegerField()  # of its stream

    class Meta:
        db_table = "ranking_resultlist"
        constraints = (models.UniqueConstraint(fields=["shop_id", "context_key"], name="ranking_resultlist_key"),)

    def __str__(self) -> str:
        return self.query

    @property
    def entered(self) -> list[str]:
        """Products that the list before did not have, best first."""
        return [] if self.previous_items is None else [each for each in self.items if each not in self.previous_items]

    @property
    def left(self) -> list[str]:
        """Products that only the list before has."""
        return [each for each in self.previous_items or () if each not in self.items]


class Judgement(models.Model):
    """A rating of a product for a query, written by `ranking.projections.judgements` only; the newest of a pair counts.

    All that were ever given are kept, so that the list of any past position can be read.
    """

    position = models.BigIntegerField(primary_key=True)
    shop_id = models.IntegerField()
    context_key = models.TextField()
    query = models.TextField()  # as it was written
    product_id = models.TextField()
    rating = models.FloatField()
    judged_at = models.DateTimeField()

    class Meta:
        db_table = "ranking_judgement"
        # for the list as of a position, in the order of its DISTINCT ON
        indexes = (
            models.Index(fields=["shop_id", "context_key", "product_id", "-position"], name="ranking_judgement_newest"),
        )

    def __str__(self) -> str:
        return f"{self.query}: {self.product_id} {self.rating:g}"


class ModelVersion(models.Model):
    """A row of the registry as the admin lists it, written by `ranking.projections.models` only.

    The code that trains and serves reads `ranking.registry.ModelVersion`. Its key is the position of the event that
    registered it: the admin takes one column, and the table's own key has two.
    """

    trained_position = models.BigIntegerField(primary_key=True)
    shop_id = models.IntegerField()
    version = models.TextField()
    major = models.IntegerField()
    minor = models.IntegerField()
    parent = models.TextField(null=True)
    encoder = models.TextField()
    artefact = models.TextField()
    from_position = models.BigIntegerField()
    to_position = models.BigIntegerField()
    seed = models.BigIntegerField()
    metrics = models.JSONField()
    config = models.JSONField()
    state = models.TextField()
    reason = models.TextField(null=True)
    promoted_position = models.BigIntegerField(null=True)
    trained_at = models.DateTimeField(null=True)
    shadow_after = models.BigIntegerField(null=True)
    shadow_click_throughs = models.IntegerField(null=True)

    class Meta:
        db_table = "ranking_modelversion"
        managed = False  # made by sql/tables.sql

    def __str__(self) -> str:
        return self.version


class Privacy(models.Model):
    """What an operator last asked of a shop's privacy, written by `ranking.projections.privacy` only.

    A shop without a row does as the environment says. Without `epsilon`, versions are trained without noise.
    """

    shop_id = models.IntegerField(primary_key=True)
    epsilon = models.FloatField(null=True)
    delta = models.FloatField()
    budget = models.FloatField()
    position = models.BigIntegerField()

    class Meta:
        db_table = "ranking_privacy"

    def __str__(self) -> str:
        return f"shop {self.shop_id}"


class Rule(models.Model):
    """A rule as an operator set it, written by `ranking.projections.rules` only.

    Every version stays; `closed_position` is that of the event that set it anew or ended it.
    """

    position = models.BigIntegerField(primary_key=True)
    shop_id = models.IntegerField()
    rule_id = models.TextField()
    kind = models.TextField()
    rank = models.IntegerField(null=True)
    factor = models.FloatField(null=True)
    product_id = models.TextField(null=True)
    brand = models.TextField(null=True)
    category = ArrayField(models.TextField())  # empty: any
    query = models.TextField(null=True)  # as it was written
    context_key = models.TextField(null=True)
    surfaces = ArrayField(models.TextField())  # empty: all
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    note = models.TextField()
    set_at = models.DateTimeField()
    closed_position = models.BigIntegerField(null=True)

    class Meta:
        db_table = "ranking_rule"
        constraints = (
            # what a process reads when a shop's rules changed
            models.UniqueConstraint(
                fields=["shop_id", "rule_id"], condition=models.Q(closed_position=None), name="ranking_rule_in_force"
            ),
        )

    def __str__(self) -> str:
        return self.rule_id


class Arrangement(models.Model):
    """How a shop's lists are arranged, and where its rules stand, written by `ranking.projections.rules` only.

    `position` and `changes` (of how many events) together say whether the rules that a process keeps are these.
    """

    shop_id = models.IntegerField(primary_key=True)
    position = models.BigIntegerField()
    changes = models.IntegerField()
    settings = models.JSONField()  # empty: as it is by default

    class Meta:
        db_table = "ranking_arrangement"

    def __str__(self) -> str:
        return f"shop {self.shop_id}"
