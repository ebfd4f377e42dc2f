"""API."""
urlpatterns: list = []
