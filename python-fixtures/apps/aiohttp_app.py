# An asyncio web server with requests in flight: some clients have an answer, some still wait for theirs.
#
#   loop (in a thread) -> server, tasks -> handler frames -> requests        client session -> connections
import asyncio
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import _truth  # noqa: E402
from aiohttp import ClientSession, web  # noqa: E402

ready = threading.Event()


async def hello(request):
    return web.json_response({"path": request.path, "query": dict(request.query)})


async def serve():
    waiting, arrived = asyncio.Event(), asyncio.Semaphore(0)

    async def slow(request):
        held = ["request in flight", request.path]
        arrived.release()
        await waiting.wait()
        return web.Response(text=str(held))

    app = web.Application()
    app.add_routes([web.get("/hello/{name}", hello), web.get("/slow", slow)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with ClientSession() as client:
        answers = []
        for i in range(20):
            async with client.get("http://127.0.0.1:%d/hello/x?i=%d" % (port, i)) as response:
                answers.append(await response.json())
        flying = [asyncio.ensure_future(client.get("http://127.0.0.1:%d/slow" % port)) for _ in range(10)]
        for _ in flying:
            await arrived.acquire()
        ready.set()
        await asyncio.gather(*flying)


threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
ready.wait()
_truth.hold()
