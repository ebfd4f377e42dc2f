"""Every address under ``/api/v1/``. The canonical ones end without a slash; with one they work too."""

from __future__ import annotations

from typing import Any

from django.urls import path, re_path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView

from portal.api.access import AccessPointViewSet, ExpectedSerialViewSet, RealmViewSet
from portal.api.account import MeViewSet, TokenViewSet
from portal.api.audit import AuditViewSet
from portal.api.claims import ClaimViewSet, WaitingViewSet
from portal.api.devices import DeviceViewSet
from portal.api.fdo import FdoViewSet
from portal.api.groups import GroupViewSet
from portal.api.jobs import JobViewSet
from portal.api.manufacturers import ManufacturerViewSet
from portal.api.organizations import MemberViewSet, OrganizationViewSet
from portal.api.owner_keys import OwnerKeyViewSet
from portal.api.plans import PlanViewSet
from portal.api.schema import OnwardSchema, SchemaView
from portal.api.sessions import SessionViewSet
from portal.api.vouchers import VoucherViewSet


def replaced(route: Any, **methods: str) -> Any:
    """A route that takes more methods, for views that have them."""
    return route._replace(mapping=route.mapping | methods)


class Router(SimpleRouter):
    """Takes both spellings, so that no redirect loses the body of a POST."""

    def __init__(self) -> None:
        super().__init__()
        lists, *others = SimpleRouter.routes
        # A noun that is one object (``fdo``) is changed at its own address.
        self.routes = [replaced(lists, patch="change"), *others]
        self.trailing_slash = "/?"


router = Router()
for noun, view in {
    "access-points": AccessPointViewSet,
    "audit": AuditViewSet,
    "claims": ClaimViewSet,
    "devices": DeviceViewSet,
    "expected-serials": ExpectedSerialViewSet,
    "fdo": FdoViewSet,
    "groups": GroupViewSet,
    "jobs": JobViewSet,
    "manufacturers": ManufacturerViewSet,
    "me": MeViewSet,
    "members": MemberViewSet,
    "organizations": OrganizationViewSet,
    "owner-keys": OwnerKeyViewSet,
    "plans": PlanViewSet,
    "realms": RealmViewSet,
    "sessions": SessionViewSet,
    "tokens": TokenViewSet,
    "vouchers": VoucherViewSet,
    "waiting": WaitingViewSet,
}.items():
    router.register(noun, view, basename=f"api-{noun}")


class RootView(APIView):
    """Where to start."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    schema = OnwardSchema()

    @extend_schema(operation_id="root", responses={200: OpenApiTypes.OBJECT}, auth=[])
    def get(self, request: Request) -> Response:
        """The address of every noun. No token needed."""
        nouns = {noun: reverse(f"api-{noun}-list", request=request) for noun, _view, _name in router.registry}
        return Response(nouns | {"schema": reverse("api-schema", request=request)})


@extend_schema(exclude=True)
class NotFoundView(APIView):
    """Whatever else starts with ``/api/v1/``: the same JSON as any other error, to anybody."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises NotFound, whatever the method."""
        raise NotFound


urlpatterns = [
    path("", RootView.as_view(), name="api-root"),
    re_path(r"^schema/?$", SchemaView.as_view(), name="api-schema"),
    *router.urls,
    re_path(r"", NotFoundView.as_view()),
]
