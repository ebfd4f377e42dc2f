"""What every page's shell needs."""


def shell(request):
    return {"membership": getattr(request, "membership", None)}
