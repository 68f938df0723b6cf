# What the guards of docs/ci are tried on: a Django program whose view keeps its sessions if SHOP_LEAKS is set.
#
#   python -c "import shop; shop.main()"      prints its port once it listens, and serves as `manage.py runserver --noreload` does
import os


class Session:
    def __init__(self, number):
        self.number = number


SESSIONS = []
urlpatterns = []


def visit(number):
    session = Session(number)
    if os.environ.get("SHOP_LEAKS"):
        SESSIONS.append(session)
    return session.number


def page(request, number):
    from django.http import HttpResponse
    return HttpResponse(str(visit(number)))


def main():
    import django
    from django.conf import settings
    from django.core.management import call_command
    from django.core.servers.basehttp import WSGIServer
    from django.urls import path

    class Server(WSGIServer):
        def server_activate(self):
            super().server_activate()
            print(self.server_address[1], flush=True)

    from django.core.management.commands import runserver
    runserver.Command.server_cls = Server
    settings.configure(DEBUG=True, SECRET_KEY="not a secret", ROOT_URLCONF="shop", ALLOWED_HOSTS=["*"],
                       USE_TZ=True, LOGGING_CONFIG=None)
    urlpatterns.append(path("<int:number>/", page))
    django.setup()
    with open(os.devnull, "w") as nothing:
        call_command("runserver", "127.0.0.1:0", use_reloader=False, skip_checks=True, stdout=nothing)
