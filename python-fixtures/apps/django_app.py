# Django under gunicorn: the worker that has answered some requests tells its heap. The arbiter is this process's parent.
#
#   arbiter --fork--> worker -> WSGIHandler -> middleware, URL resolver, settings; a model and its cache
import os
import sys
import threading
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import _truth  # noqa: E402
import django  # noqa: E402
from django.conf import settings  # noqa: E402

settings.configure(
    DEBUG=False, SECRET_KEY="not a secret", ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}])
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.template import engines  # noqa: E402
from django.urls import path  # noqa: E402
from gunicorn.app.base import BaseApplication  # noqa: E402

CACHE = []


def view(request, number):
    template = engines["django"].from_string("{% for x in xs %}{{ x }}{% endfor %}")
    CACHE.append({"number": number, "request": request})
    return HttpResponse(template.render({"xs": range(number)}))


urlpatterns = [path("v/<int:number>/", view)]


def tell(worker):
    """In the worker, once it serves: asks itself some pages, then waits for commands as any fixture does."""
    port = worker.sockets[0].getsockname()[1]
    for number in range(20):
        urllib.request.urlopen("http://127.0.0.1:%d/v/%d/" % (port, number)).read()
    _truth.hold()


class Application(BaseApplication):
    def load_config(self):
        for name, value in {"bind": "127.0.0.1:0", "workers": 1, "worker_class": "gthread", "threads": 2,
                            "loglevel": "error", "timeout": 0, "post_worker_init": self.started}.items():
            self.cfg.set(name, value)

    @staticmethod
    def started(worker):
        threading.Thread(target=tell, args=(worker,), daemon=True).start()

    def load(self):
        return get_wsgi_application()


Application().run()
