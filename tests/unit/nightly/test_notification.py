# SPDX-License-Identifier: GPL-3.0-or-later
"""Webhook and mail, against real servers on loopback."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Optional

import pytest

from migration_lab.model.errors import LabError
from migration_lab.nightly.notification import (
    Mail,
    Retry,
    Undelivered,
    check_webhook,
    deliver,
    make_mail,
    post,
    read_secret,
    send_mail,
)

TOKEN = "s3cret-token"
MAIL = {
    "host": "mail.example.org", "port": 25, "starttls": True, "user": "", "password_file": "", "from": "lab@example.org",
    "to": ["people@example.org"],
}


def never(seconds: float) -> None:
    """In place of waiting, where nothing is to be tried again."""
    raise AssertionError(f"waited {seconds} s for another attempt")


class Webhook:
    """Answers with the statuses that it is given, then with 200; a status of 0 closes the connection without an answer."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[dict[str, Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hook.statuses.pop(0) if hook.statuses else 200
                if not status:
                    return
                if status == 200:
                    hook.bodies.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.address = f"http://127.0.0.1:{self.server.server_port}/hooks/{TOKEN}"

    def __enter__(self) -> Webhook:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def test_a_webhook_gets_the_text_and_the_data() -> None:
    with Webhook() as hook:
        assert post(hook.address, "a line", {"green": True}, Retry()) == 1
    assert hook.bodies == [{"text": "a line", "green": True}]


@pytest.mark.parametrize("status", [500, 503, 429, 408, 0])
def test_a_webhook_that_fails_twice_gets_it_at_the_third_attempt_after_waits_that_double(status: int) -> None:
    waits: list[float] = []
    with Webhook(status, status) as hook:
        assert post(hook.address, "a line", {}, Retry(wait=5), waits.append) == 3
    assert waits == [5, 10] and len(hook.bodies) == 1


def test_a_webhook_that_goes_on_failing_is_given_up() -> None:
    waits: list[float] = []
    with Webhook(500, 503, 503, 503, 503) as hook, pytest.raises(Undelivered) as raised:
        post(hook.address, "a line", {}, Retry(), waits.append)
    assert str(raised.value) == "the webhook on 127.0.0.1 did not take it in 4 attempts: status 500, then status 503"
    assert len(waits) == 3 and len(hook.statuses) == 1


@pytest.mark.parametrize("status", [302, 400, 404, 410])
def test_a_webhook_that_refuses_is_not_asked_again(status: int) -> None:
    with Webhook(status) as hook, pytest.raises(Undelivered, match=f"refused it with status {status}") as raised:
        post(hook.address, "a line", {}, Retry(), never)
    assert TOKEN not in str(raised.value) and hook.bodies == []


def test_a_webhook_that_is_not_there_or_never_answers_is_said_without_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/{TOKEN}"
        with pytest.raises(Undelivered, match="2 attempts: no answer in time") as unanswered:
            post(address, "a line", {}, Retry(2, 0, 0.2))
    with pytest.raises(Undelivered, match="Connection refused") as absent:
        post(address, "a line", {}, Retry(2, 0, 0.2))
    assert not any(TOKEN in str(raised.value) for raised in (unanswered, absent))


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/s3cret", "https:///s3cret", "s3cret", "http://host:port/s3cret", "http://h/s3cret\nX: y", "https://host/s3cret-ö",
        "https://hooks..example/s3cret", f"https://{'a' * 64}.example/s3cret",
    ],
)
def test_an_address_that_is_none_is_refused_without_it(address: str) -> None:
    with pytest.raises(LabError, match="nightly_webhook is not the address of a webhook") as raised:
        check_webhook(address)
    assert "s3cret" not in str(raised.value)


def test_a_webhook_that_no_request_can_be_sent_to_is_said_without_its_address() -> None:
    with pytest.raises(Undelivered, match=r"no request can be sent to the webhook on 127\.0\.0\.1") as raised:
        post(f"http://127.0.0.1:9/{TOKEN}-ö", "a line", {}, Retry(), never)
    assert TOKEN not in str(raised.value)


def test_each_way_is_tried_whatever_becomes_of_the_other_ones() -> None:
    def broken() -> int:
        raise RuntimeError(TOKEN)

    def refused() -> int:
        raise Undelivered("the webhook refused it")

    said = "nothing was sent by webhook: RuntimeError, which the lab did not expect"
    assert deliver({"webhook": broken, "mail": lambda: 2}) == (["by mail in 2 attempts"], [said])
    assert deliver({"webhook": refused, "mail": lambda: 1}) == (["by mail in 1 attempt"], ["the webhook refused it"])


def test_an_address_of_a_webhook_is_taken() -> None:
    for address in ("https://hooks.example.org/T0/s3cret?a=b", "http://[::1]:8080/", "http://127.0.0.1:9/"):
        assert check_webhook(address) == address


def test_a_secret_is_read_from_a_file_that_nobody_else_can_read(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with pytest.raises(LabError, match=r"nightly_webhook_file: .* cannot be read"):
        read_secret(str(path), "nightly_webhook_file")
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o640)
    with pytest.raises(LabError, match=r"others can read .* \(mode 0640\); make it 0600"):
        read_secret(str(path), "nightly_webhook_file")
    path.chmod(0o600)
    assert read_secret(str(path), "nightly_webhook_file") == TOKEN
    path.write_text("\n")
    with pytest.raises(LabError, match="is empty"):
        read_secret(str(path), "nightly_webhook_file")


class Server(socketserver.ThreadingTCPServer):
    """As much of SMTP as smtplib asks for."""

    allow_reuse_address = True

    def __init__(self, *greetings: int, recipient: int = 250) -> None:
        self.greetings = list(greetings)  # answers to the first connections, in place of 220
        self.recipient = recipient
        self.later: list[int] = []  # answers to the first recipients, in place of that
        self.messages: list[str] = []
        super().__init__(("127.0.0.1", 0), Session)


class Session(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        greeting = self.server.greetings.pop(0) if self.server.greetings else 220
        self.say(f"{greeting} test")
        lines: Optional[list[str]] = None
        while greeting == 220 and (line := self.rfile.readline().decode().rstrip("\r\n")):
            word = line.split(":")[0].split()[0].upper()
            if word == "DATA":
                self.say("354 go on")
                lines = []
                while (part := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(part)
                self.server.messages.append("\n".join(lines))
            recipient = self.server.later.pop(0) if word == "RCPT" and self.server.later else self.server.recipient
            self.say({"RCPT": f"{recipient} so", "QUIT": "221 bye"}.get(word, "250 so"))

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@pytest.fixture
def smtp() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def mail(server: Server, starttls: bool = False) -> Mail:
    return Mail("127.0.0.1", server.server_address[1], starttls, "", "", "lab@example.org", ("people@example.org",))


def test_a_mail_is_sent(smtp: Server) -> None:
    assert send_mail(mail(smtp), "a line\nwith a break", "text\n.\nend\n", Retry()) == 1
    (message,) = smtp.messages
    assert "From: lab@example.org" in message and "To: people@example.org" in message
    assert "Subject: a line with a break" in message and message.endswith("text\n..\nend")


def test_a_mail_server_that_is_busy_is_asked_again(smtp: Server) -> None:
    smtp.greetings = [421, 421]
    waits: list[float] = []
    assert send_mail(mail(smtp), "a line", "text\n", Retry(wait=1), waits.append) == 3
    assert waits == [1, 2] and len(smtp.messages) == 1


def test_a_mail_that_is_refused_is_not_sent_again(smtp: Server) -> None:
    smtp.recipient = 550
    with pytest.raises(Undelivered, match=r"refused people@example\.org"):
        send_mail(mail(smtp), "a line", "text\n", Retry(), never)


def test_a_mail_whose_receivers_are_all_put_off_is_sent_again(smtp: Server) -> None:
    smtp.later = [450, 451]
    waits: list[float] = []
    assert send_mail(mail(smtp), "a line", "text\n", Retry(wait=1), waits.append) == 3
    assert waits == [1, 2] and len(smtp.messages) == 1


def test_a_mail_whose_receivers_are_put_off_every_time_is_said_with_the_status(smtp: Server) -> None:
    smtp.recipient = 450
    with pytest.raises(Undelivered, match="did not take it in 2 attempts: status 450"):
        send_mail(mail(smtp), "a line", "text\n", Retry(attempts=2, wait=0), lambda seconds: None)


def test_a_mail_server_whose_name_is_none_is_said() -> None:
    with pytest.raises(Undelivered, match=r"no mail can be sent by the mail server mail\.\.example:25"):
        send_mail(Mail("mail..example", 25, False, "", "", "lab@example.org", ("a@example.org",)), "a", "b\n", Retry(), never)


def test_a_mail_is_not_sent_in_the_clear_where_it_must_be_encrypted(smtp: Server) -> None:
    with pytest.raises(Undelivered, match="STARTTLS"):
        send_mail(mail(smtp, starttls=True), "a line", "text\n", Retry(), never)
    assert smtp.messages == []


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"host": ""}, "nightly_mail_to is set and nightly_mail_host is not"),
        ({"from": ""}, "nightly_mail_to is set and nightly_mail_from is not"),
        ({"to": ["nobody"]}, "'nobody' in nightly_mail_from or nightly_mail_to is not a mail address"),
        ({"from": "a@b\nBcc: c@d"}, "is not a mail address"),
        ({"from": "a@b\n"}, "is not a mail address"),
        ({"to": ["a@"]}, "'a@' in nightly_mail_from or nightly_mail_to is not a mail address"),
        ({"to": ["a@["]}, "is not a mail address"),
        ({"to": ["ö@example.org"]}, "is not a mail address"),
        ({"to": ["a@b@c"]}, "is not a mail address"),
        ({"port": 0}, "nightly_mail_port is 0"),
        ({"user": "lab"}, "nightly_mail_password_file is not"),
    ],
)
def test_wrong_settings_are_refused_with_their_names(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LabError, match=sentence):
        make_mail({**MAIL, **fields})


def test_a_password_is_read_and_never_sent_in_the_clear(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("word\n")
    path.chmod(0o600)
    made = make_mail({**MAIL, "user": "lab", "password_file": str(path)})
    assert made is not None and made.password == "word"
    with pytest.raises(LabError, match="a password is sent encrypted only"):
        make_mail({**MAIL, "user": "lab", "password_file": str(path), "starttls": False})
    assert make_mail({**MAIL, "to": []}) is None
