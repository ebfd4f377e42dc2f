"""API tokens."""
from rest_framework.authentication import BaseAuthentication


class TokenAuthentication(BaseAuthentication):
    """Bearer."""

    def authenticate(self, request):
        return None
