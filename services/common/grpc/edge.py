"""What stands between gRPC and the handlers: every call goes through here, whoever makes it.

Handlers are wrapped once, when they are registered. An interceptor is asked again at every call, which by itself costs a
twentieth of an empty one.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, Final, TypeAlias

import grpc

from services.common.errors import Code, DomainError
from services.common.grpc.callers import Caller, Callers
from services.common.grpc.calls import Call
from services.common.grpc.metrics import CALLS, MethodCounts
from services.common.grpc.revocation import RevocationList
from services.common.tracing import traced

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behaviour = Callable[[Any, Any], Awaitable[Any]]

_KINDS: Final[dict[tuple[bool, bool], tuple[str, str, Callable[..., Handler]]]] = {
    (False, False): ("unary", "unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("server_stream", "unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("client_stream", "stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("bidi_stream", "stream_stream", grpc.stream_stream_rpc_method_handler),
}
"""By (the request streams, the response streams): the label grpc_type, the attribute with the function, how to make one."""


class Edge:
    """Admits callers to the handlers of one server."""

    def __init__(self, callers: Callers, revocations: RevocationList, most_calls: int) -> None:
        self._callers = callers
        self._revocations = revocations
        self._most_calls = most_calls
        self._calls = 0
        self._streams: dict[Call, asyncio.Task[Any]] = {}
        self._uploads: dict[Call, asyncio.Task[Any]] = {}
        """Of callers who send one message after the other, and have an end of their own."""

    def guard(self, service: str, handlers: Mapping[str, Handler]) -> dict[str, Handler]:
        """The handlers of a service by method, with everything around them; methods that it lacks are left to gRPC."""
        guarded = {name: self._guard(service, name, handler) for name, handler in handlers.items()}
        return {name: handler for name, handler in guarded.items() if handler}

    def _guard(self, service: str, name: str, handler: Handler) -> "Handler | None":
        label, attribute, make = _KINDS[handler.request_streaming, handler.response_streaming]
        behaviour = getattr(handler, attribute)
        if behaviour.__module__.endswith("_pb2_grpc"):
            return None  # inherited from generated code, which only says that there is nothing
        generates = inspect.isasyncgenfunction(behaviour)
        if not generates and not inspect.iscoroutinefunction(behaviour):
            raise TypeError(f"{service}/{name} is not asynchronous: it would block everybody")
        counts = CALLS.of(label, service, name)
        if handler.response_streaming:
            answer = self._streaming(f"{service}/{name}", counts, behaviour if generates else None, behaviour)
        else:
            answer = self._unary(f"{service}/{name}", counts, behaviour, upload=handler.request_streaming)
        return make(traced(f"{service}/{name}", answer), handler.request_deserializer, handler.response_serializer)

    def check_streams(self) -> None:
        """End the streams of callers who would not be admitted any more."""
        for call, task in (*self._streams.items(), *self._uploads.items()):
            try:
                self._check(call.caller)
            except DomainError as error:
                call.cancel(task, error)

    def end_streams(self) -> None:
        """End every stream: they have no end of their own, and this process is about to."""
        for call, task in tuple(self._streams.items()):
            call.cancel(task, DomainError(Code.UNAVAILABLE, "SERVER_ENDS", "this server is about to end; ask again"))

    def _check(self, caller: Caller) -> None:
        caller.check()
        self._revocations.check(caller.peer.serial)

    def _admit(self, call: Call, context: Any) -> None:
        caller = self._callers.caller_of(context, call.says)
        call.admit(caller)
        self._check(caller)
        if self._calls > self._most_calls:
            raise DomainError(Code.RESOURCE_EXHAUSTED, "SERVER_BUSY", "too many calls at once; try again in a moment")

    def _unary(self, method: str, counts: MethodCounts, behaviour: Behaviour, *, upload: bool) -> Behaviour:
        async def take(call: Call, request: Any, context: Any) -> Any:
            with self._open(call, self._uploads):
                return await behaviour(request, context)

        async def answer(request: Any, context: Any) -> Any:
            self._calls += 1
            call = Call(method, counts, context, streaming=False)
            call.request = request
            try:
                self._admit(call, context)
                response = await (take(call, request, context) if upload else behaviour(request, context))
            except BaseException as error:
                await call.fail(error)
                raise
            finally:
                self._calls -= 1
            call.succeed()
            return response

        return answer

    def _streaming(self, method: str, counts: MethodCounts, generator: Any, behaviour: Behaviour) -> Behaviour:
        async def answer(request: Any, context: Any) -> None:
            self._calls += 1
            call = Call(method, counts, context, streaming=True)
            try:
                self._admit(call, context)
                await context.send_initial_metadata(call.metadata)
                with self._open(call, self._streams):
                    if generator is None:
                        await behaviour(request, context)
                    else:
                        await self._pass_on(generator(request, context), call.caller, context)
            except BaseException as error:
                await call.fail(error)
                raise
            finally:
                self._calls -= 1
            call.succeed()

        return answer

    async def _pass_on(self, messages: Any, caller: Caller, context: Any) -> None:
        async with aclosing(messages):
            async for message in messages:
                self._check(caller)
                await context.write(message)

    @contextmanager
    def _open(self, call: Call, among: dict[Call, asyncio.Task[Any]]) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        among[call] = task
        try:
            yield
        finally:
            del among[call]
