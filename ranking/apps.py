from django.apps import AppConfig


class RankingConfig(AppConfig):
    """score_i(q) = ŷ_i(q) × w_i(q): encoders, retrieval, weights, serving, learning, model registry."""

    name = "ranking"
