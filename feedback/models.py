"""Read models of feedback, written by projections only; and the shoppers' keys, which are no projection.

Facts are insert-only and keep their log position, so that any past moment can be asked; erasing a shopper takes the
subject from their rows, which nothing that ranks reads.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.indexes import GinIndex
from django.db import models


class Shopper(models.Model):
    """A pseudonymous shopper: a keyed hash, a random subject, and the key under which the events' personal part lies.

    Deleting the row makes every personal part of this shopper unreadable, wherever copies of the log may be.
    `reference` is what ranking tokens say instead of the subject.
    """

    pk = models.CompositePrimaryKey("shop_id", "shopper_hash")
    shop_id = models.IntegerField()
    shopper_hash = models.BinaryField()
    subject_id = models.UUIDField(unique=True)
    key = models.BinaryField()
    reference = models.UUIDField(unique=True, db_default=RandomUUID())
    created_at = models.DateTimeField()

    class Meta:
        db_table = "feedback_shopper"

    def __str__(self) -> str:
        return str(self.subject_id)


_OF_SUBJECTS = models.Q(subject_id__isnull=False)


def _erased(table: str) -> models.Index:
    """Which click-throughs, so which model versions, were of somebody who is erased."""
    return models.Index(fields=["shop_id", "position"], condition=models.Q(erased=True), name=f"{table}_erased")


class Impression(models.Model):
    """Products shown in one context, in order, with the answer they came from."""

    position = models.BigIntegerField(primary_key=True)
    shop_id = models.IntegerField()
    context_kind = models.TextField(null=True)
    context_key = models.TextField(null=True)
    items = ArrayField(models.TextField())
    first_rank = models.IntegerField()
    ranking_ref = models.TextField(null=True)
    as_of_position = models.BigIntegerField(null=True)
    ranked_at = models.DateTimeField(null=True)
    subject_id = models.UUIDField(null=True)
    at = models.DateTimeField()
    erased = models.BooleanField(db_default=False)  # its subject was erased, and taken from the row

    class Meta:
        db_table = "feedback_impression"
        indexes = (
            # erasing finds a subject's rows
            models.Index(fields=["subject_id"], condition=_OF_SUBJECTS, name="feedback_impression_subject"),
            _erased("feedback_impression"),
            # evidence of a context as of a position (making an old answer again)
            models.Index(fields=["shop_id", "context_kind", "context_key"], name="feedback_impression_context"),
            GinIndex(fields=["items"], name="feedback_impression_items"),  # evidence of a product as of a position
        )

    def __str__(self) -> str:
        return f"impression {self.position}"


class Interaction(models.Model):
    """One thing a shopper did with one product."""

    position = models.BigIntegerField(primary_key=True)
    shop_id = models.IntegerField()
    kind = models.TextField()
    product_id = models.TextField()
    context_kind = models.TextField(null=True)
    context_key = models.TextField(null=True)
    rank = models.IntegerField(null=True)
    ranking_ref = models.TextField(null=True)
    subject_id = models.UUIDField(null=True)
    quantity = models.IntegerField(null=True)
    price = models.FloatField(null=True)
    at = models.DateTimeField()
    erased = models.BooleanField(db_default=False)

    class Meta:
        db_table = "feedback_interaction"
        indexes = (
            # a subject's newest rows as of a position (a shopper's history), and all of them (erasing)
            models.Index(
                fields=["subject_id", "position"], condition=_OF_SUBJECTS, name="feedback_interaction_history"
            ),
            _erased("feedback_interaction"),
            # evidence of a context, of a product, as of a position
            models.Index(fields=["shop_id", "context_kind", "context_key"], name="feedback_interaction_context"),
            models.Index(fields=["shop_id", "product_id"], name="feedback_interaction_product"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.position}"


class ClickThrough(models.Model):
    """An impression joined with what followed, from the position of the log at which its window closed.

    `outcomes` is {product_id: [kinds in log order]}. `implied`: one positive without knowledge of what else was shown,
    `impression_position` is then the interaction's own; `late`: such a one whose impression had closed already.
    """

    impression_position = models.BigIntegerField(primary_key=True)
    closed_position = models.BigIntegerField()
    shop_id = models.IntegerField()
    context_kind = models.TextField(null=True)
    context_key = models.TextField(null=True)
    context_text = models.TextField(null=True)
    items = ArrayField(models.TextField())
    first_rank = models.IntegerField(null=True)
    ranking_ref = models.TextField(null=True)
    outcomes = models.JSONField()
    shown_at = models.DateTimeField()
    implied = models.BooleanField()
    late = models.BooleanField()

    class Meta:
        db_table = "feedback_clickthrough"
        indexes = (
            # the trainer reads in closing order
            models.Index(fields=["shop_id", "closed_position"], name="feedback_clickthrough_closed"),
            # an interaction asks whether its impression has closed
            models.Index(
                fields=["shop_id", "ranking_ref"],
                condition=models.Q(implied=False),
                name="feedback_clickthrough_ref",
            ),
        )

    def __str__(self) -> str:
        return f"click-through {self.impression_position}"


class OpenImpression(models.Model):
    """An impression whose window has not closed: state of the click-through projection."""

    position = models.BigIntegerField(primary_key=True)
    shop_id = models.IntegerField()
    due_at = models.DateTimeField()
    context_kind = models.TextField(null=True)
    context_key = models.TextField(null=True)
    context_text = models.TextField(null=True)
    items = ArrayField(models.TextField())
    first_rank = models.IntegerField()
    ranking_ref = models.TextField()
    shown_at = models.DateTimeField()
    subject_id = models.UUIDField(null=True)

    class Meta:
        db_table = "feedback_open_impression"
        indexes = (
            models.Index(fields=["shop_id", "due_at"], name="feedback_open_impression_due"),
            # the first of a ranking that is not due, for one subject and for anyone
            models.Index(
                fields=["shop_id", "ranking_ref", "subject_id", "due_at"], name="feedback_open_impression_who"
            ),
            models.Index(fields=["shop_id", "ranking_ref", "due_at"], name="feedback_open_impression_ref"),
        )

    def __str__(self) -> str:
        return f"open impression {self.position}"


class OpenInteraction(models.Model):
    """An interaction with a token that waits for its impression to arrive or to close: state of the same projection."""

    position = models.BigIntegerField(primary_key=True)
    shop_id = models.IntegerField()
    due_at = models.DateTimeField()
    kind = models.TextField()
    product_id = models.TextField()
    context_kind = models.TextField(null=True)
    context_key = models.TextField(null=True)
    context_text = models.TextField(null=True)
    rank = models.IntegerField(null=True)
    ranking_ref = models.TextField()
    at = models.DateTimeField()
    subject_id = models.UUIDField(null=True)

    class Meta:
        db_table = "feedback_open_interaction"
        indexes = (
            models.Index(fields=["shop_id", "due_at"], name="feedback_open_interaction_due"),
            # what may follow from an impression of a ranking: one subject's, anyone's
            models.Index(fields=["shop_id", "ranking_ref", "subject_id", "at"], name="feedback_open_interaction_who"),
            models.Index(fields=["shop_id", "ranking_ref", "at"], name="feedback_open_interaction_ref"),
        )

    def __str__(self) -> str:
        return f"open interaction {self.position}"


class ErasedSubject(models.Model):
    """A subject that was erased: what still comes of it (a batch that was under way) is nobody's.

    Each projection has such a table of its own, since each has its own place in the log.
    """

    subject_id = models.UUIDField(primary_key=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.subject_id)


class FactsErased(ErasedSubject):
    class Meta:
        db_table = "feedback_facts_erased"


class ClickThroughsErased(ErasedSubject):
    class Meta:
        db_table = "feedback_clickthrough_erased"
