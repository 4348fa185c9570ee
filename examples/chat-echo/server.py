"""OpenAI's chat API in its smallest form, on 127.0.0.1:$PORT: says back what the last user said. A token is a word."""

import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECONDS_A_WORD = float(os.environ.get("SECONDS_A_WORD", "0.01"))


def text_of(content: Any) -> str:
    """A message's text, also where it comes in parts."""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or [] if isinstance(part, dict))


class Chat:
    """One request and the words of its answer."""

    def __init__(self, asked: dict[str, Any]) -> None:
        messages = asked["messages"]
        said = [text_of(one.get("content")) for one in messages]
        last = next((text_of(one.get("content")) for one in reversed(messages) if one.get("role") == "user"), "")
        words = ["You", "said:", *last.split()]
        most = asked.get("max_completion_tokens") or asked.get("max_tokens") or len(words)
        self.words, self.finish = words[:most], "stop" if len(words) <= most else "length"
        prompt = sum(len(one.split()) for one in said)
        self.usage = {
            "prompt_tokens": prompt,
            "completion_tokens": len(self.words),
            "total_tokens": prompt + len(self.words),
        }
        self.head = {"id": f"chatcmpl-{time.time_ns():x}", "created": int(time.time()), "model": str(asked.get("model"))}
        self.wants_usage = bool((asked.get("stream_options") or {}).get("include_usage"))

    def whole(self) -> dict[str, Any]:
        """The plain answer."""
        time.sleep(SECONDS_A_WORD * len(self.words))
        message = {"role": "assistant", "content": " ".join(self.words)}
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        return {**self.head, "object": "chat.completion", "choices": [choice], "usage": self.usage}

    def pieces(self):
        """The streamed answer, word by word."""
        for number, word in enumerate(self.words):
            time.sleep(SECONDS_A_WORD)
            yield self.piece({"role": "assistant", "content": f" {word}" if number else word}, None)
        yield self.piece({}, self.finish)
        if self.wants_usage:
            yield {**self.head, "object": "chat.completion.chunk", "choices": [], "usage": self.usage}

    def piece(self, delta: dict[str, str], finish: str | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**self.head, "object": "chat.completion.chunk", "choices": [choice]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """What callers say is theirs."""

    def do_GET(self) -> None:
        """The list of models: whoever starts this server waits for it."""
        self.answer(200, {"object": "list", "data": [{"id": "chat-echo", "object": "model"}]})

    def do_POST(self) -> None:
        try:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            chat = Chat(asked)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.answer(400, {"error": {"message": f"no chat request: {error}", "type": "invalid_request_error"}})
            return
        if not asked.get("stream"):
            self.answer(200, chat.whole())
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for piece in chat.pieces():
            self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
