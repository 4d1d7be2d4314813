from django.urls import path

from ranking import apis, apis_rules, signal_apis
from ranking.bandit.apis import StrategiesApi
from ranking.experiments import apis as experiments

urlpatterns = [
    path("search", apis.SearchApi.as_view()),
    path("recommendations", apis.RecommendationsApi.as_view()),
    path("rankings", apis.RankingsApi.as_view()),
    path("rankings/<str:token>", apis.RankingApi.as_view()),
    path("weights", apis.WeightsApi.as_view()),
    path("signals", signal_apis.SignalsApi.as_view()),
    path("signals/preview", signal_apis.PreviewApi.as_view()),
    path("diversity", signal_apis.DiversityApi.as_view()),
    path("rules", apis_rules.RulesApi.as_view()),
    path("rules/<str:rule_id>", apis_rules.RuleApi.as_view()),
    path("arrangement", apis_rules.ArrangementApi.as_view()),
    path("judgments", apis.JudgementsApi.as_view()),
    path("models", apis.ModelsApi.as_view()),
    path("strategies", StrategiesApi.as_view()),
    path("learning", apis.LearningApi.as_view()),
    path("models/rollback", apis.RollbackApi.as_view()),
    path("models/<str:version>/promote", apis.PromoteApi.as_view()),
    path("experiments", experiments.ExperimentsApi.as_view()),
    path("experiments/<str:id>", experiments.ExperimentApi.as_view()),
    path("experiments/<str:id>/stop", experiments.ExperimentStopApi.as_view()),
]
