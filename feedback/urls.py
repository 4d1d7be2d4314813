from django.urls import path

from feedback import apis

urlpatterns = [
    path("events", apis.EventsApi.as_view()),
    path("receipts/<str:receipt>", apis.ReceiptApi.as_view()),
]
