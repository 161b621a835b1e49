"""Every route of the desk."""

urlpatterns: list = []
