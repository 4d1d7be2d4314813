from django.urls import path

from feedback import apis

urlpatterns = [
    path("events", apis.EventsApi.as_view()),
    path("receipts/<str:receipt>", apis.ReceiptApi.as_view()),
    path("shoppers/<path:shopper_id>", apis.ShopperApi.as_view()),  # path: an id may hold a slash
]
