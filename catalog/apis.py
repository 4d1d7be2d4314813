"""The calls of the catalogue. Each makes one call into the domain."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from catalog import schemas
from catalog.schemas import expected_version, object_of, products_of
from catalog.selectors import descriptions_read, product_read
from catalog.services import Revised, description_restore, description_revise, product_retire, products_upsert
from eventlog.rejections import batch_answer


class ProductsApi(APIView):
    """Upsert products."""

    required_scope = "catalog"

    @extend_schema(
        operation_id="products_upsert",
        tags=["catalogue"],
        request=schemas.ProductsIn,
        responses=schemas.UpsertOut,
        examples=schemas.UPSERT_EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        """Record up to 1,000 whole products; a bad one is refused alone, an unchanged one appends nothing.

        An absent or null field is emptied. Of several items for one product the last one counts.
        """
        result = products_upsert(
            shop_id=_shop(request), items=products_of(request.data), origin="api", now=timezone.now()
        )
        return Response(batch_answer(result))


class ProductApi(APIView):
    """One product."""

    required_scope = "catalog"

    @extend_schema(
        operation_id="product_get",
        tags=["catalogue"],
        parameters=[schemas.PRODUCT_ID],
        responses=schemas.ProductOut,
    )
    def get(self, request: Request, product_id: str) -> Response:
        """A product as it is now, everything accepted before included; ETag is its description version."""
        product = product_read(shop_id=_shop(request), product_id=product_id)
        return Response(product, headers=_etag(product["description_version"]))

    @extend_schema(
        operation_id="product_retire",
        tags=["catalogue"],
        parameters=[schemas.PRODUCT_ID],
        responses={200: schemas.RetiredOut},
    )
    def delete(self, request: Request, product_id: str) -> Response:
        """Retire a product: it is never shown again, its history is kept, it cannot come back under this id."""
        receipt = product_retire(shop_id=_shop(request), product_id=product_id, now=timezone.now())
        return Response({"product_id": product_id, "receipt": receipt})


class DescriptionsApi(APIView):
    """The description versions of a product."""

    required_scope = "catalog"

    @extend_schema(
        operation_id="descriptions_get",
        tags=["catalogue"],
        parameters=[schemas.PRODUCT_ID],
        responses=schemas.DescriptionsOut,
    )
    def get(self, request: Request, product_id: str) -> Response:
        """Every description version, newest first."""
        versions = descriptions_read(shop_id=_shop(request), product_id=product_id)
        return Response(
            {"product_id": product_id, "versions": [asdict(version) for version in versions]},
            headers=_etag(versions[0].version),
        )

    @extend_schema(
        operation_id="description_revise",
        tags=["catalogue"],
        parameters=[schemas.PRODUCT_ID, schemas.if_match(required=True)],
        request=schemas.DescriptionChange,
        responses={200: schemas.RevisedOut, 201: schemas.RevisedOut},
    )
    def post(self, request: Request, product_id: str) -> Response:
        """A new description version: the one named by If-Match with these fields replaced, null empties one.

        201 with the new version; 200 when it would say the same. 412 when another version is current by now.
        """
        version = expected_version(request.headers.get("If-Match"), required=True)
        revised = description_revise(
            shop_id=_shop(request),
            product_id=product_id,
            fields=object_of(request.data),
            expected_version=version,
            now=timezone.now(),
        )
        return _revised(product_id, revised)


class RestoreApi(APIView):
    """An old description again."""

    required_scope = "catalog"

    @extend_schema(
        operation_id="description_restore",
        tags=["catalogue"],
        parameters=[schemas.PRODUCT_ID, schemas.VERSION, schemas.if_match(required=False)],
        request=None,
        responses={200: schemas.RevisedOut, 201: schemas.RevisedOut},
    )
    def post(self, request: Request, product_id: str, version: int) -> Response:
        """Make a description version current again, as a new version.

        201 with the new version; 200 when the current one says the same. With If-Match, 412 when another is current.
        """
        revised = description_restore(
            shop_id=_shop(request),
            product_id=product_id,
            version=version,
            expected_version=expected_version(request.headers.get("If-Match"), required=False),
            now=timezone.now(),
        )
        return _revised(product_id, revised)


def _shop(request: Request) -> int:
    key: Any = request.auth
    return int(key.shop_id)


def _revised(product_id: str, revised: Revised) -> Response:
    return Response(
        {
            "product_id": product_id,
            "description_version": revised.version,
            "changed": revised.changed,
            "receipt": revised.receipt,
        },
        status=201 if revised.changed else 200,
        headers=_etag(revised.version),
    )


def _etag(version: int) -> dict[str, str]:
    return {"ETag": f'"{version}"'}
