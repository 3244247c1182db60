# SPDX-License-Identifier: GPL-3.0-or-later
"""Notifies people of a night by a webhook and by mail.

Neither the webhook's address, which is often a secret itself, nor a password is ever part of a message.
"""

from __future__ import annotations

import http.client
import json
import re
import smtplib
import ssl
import stat
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any, Callable, Mapping, Optional
from urllib.parse import urlsplit

from ..model.errors import LabError
from ..results.wording import count

# Statuses that are worth another attempt: the server is busy, or at fault.
AGAIN = frozenset((408, 429)) | frozenset(range(500, 600))

# Addresses that any mail server takes: no quotes, no brackets, ASCII only.
MAIL_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")

Sleep = Callable[[float], None]


@dataclass(frozen=True)
class Retry:
    """How often and how patiently to try."""

    attempts: int = 4
    wait: float = 5.0  # seconds before the second attempt; doubled before each further one
    timeout: float = 30.0  # seconds for one attempt


@dataclass(frozen=True)
class Mail:
    """A mail's server and receivers."""

    host: str
    port: int
    starttls: bool
    user: str
    password: str
    sender: str
    to: tuple[str, ...]


class Undelivered(Exception):
    """Why a notification was not delivered, without a secret."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: a redirected POST becomes a GET without its data, which would look delivered."""

    def redirect_request(self, *_: Any) -> None:
        return None


def read_secret(path: str, what: str) -> str:
    """A secret from a file that only its owner can read.

    :param what: the setting that names the file, for the error.
    :raises LabError: when the file cannot be read, is empty, or others can read it.
    """
    try:
        mode = Path(path).stat().st_mode
        text = Path(path).read_text().strip()
    except (OSError, ValueError) as error:
        raise LabError(f"{what}: {path} cannot be read ({error.__class__.__name__}); give a file with the secret alone") from None
    if stat.S_IMODE(mode) & 0o077:
        raise LabError(f"{what}: others can read {path} (mode {stat.S_IMODE(mode):04o}); make it 0600")
    if not text:
        raise LabError(f"{what}: {path} is empty; write the secret into it")
    return text


def check_webhook(address: str) -> str:
    """Refuse what is not the address of a webhook.

    :raises LabError: without the address.
    """
    try:
        parts = urlsplit(address)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        address.encode("ascii")
        (parts.hostname or "").encode("idna")  # refuses labels that are empty or too long
    except ValueError:
        right = False
    if not right or any(character <= " " or character == "\x7f" for character in address):
        raise LabError("nightly_webhook is not the address of a webhook; give one in ASCII that begins with https:// or http://")
    return address


def make_mail(given: Mapping[str, Any]) -> Optional[Mail]:
    """The mail settings; None when there is no receiver.

    :param given: host, port, starttls, user, password_file, from and to (list).
    :raises LabError: naming the setting that is missing or wrong.
    """
    if not given["to"]:
        return None
    for name in ("host", "from"):
        if not given[name]:
            raise LabError(f"nightly_mail_to is set and nightly_mail_{name} is not; set it, or leave nightly_mail_to empty")
    for address in [given["from"], *given["to"]]:
        if not MAIL_ADDRESS.fullmatch(address):
            raise LabError(f"'{address}' in nightly_mail_from or nightly_mail_to is not a mail address")
    if not 0 < given["port"] < 65536:
        raise LabError(f"nightly_mail_port is {given['port']}; it must be 1 to 65535")
    password = ""
    if given["user"]:
        if not given["password_file"]:
            raise LabError("nightly_mail_user is set and nightly_mail_password_file is not; give a 0600 file with the password")
        password = read_secret(given["password_file"], "nightly_mail_password_file")
        if not given["starttls"]:
            raise LabError("nightly_mail_user is set and nightly_mail_starttls is false; a password is sent encrypted only")
    return Mail(given["host"], given["port"], given["starttls"], given["user"], password, given["from"], tuple(given["to"]))


def deliver(ways: Mapping[str, Callable[[], int]]) -> tuple[list[str], list[str]]:
    """Send by each way, whether or not the others fail.

    :param ways: by name, a function that sends and returns the attempts that it took.
    :returns: what was delivered, and what was not and why, in words.
    """
    delivered, undelivered = [], []
    for way, send in ways.items():
        try:
            delivered.append(f"by {way} in {count(send(), 'attempt')}")
        except Undelivered as error:
            undelivered.append(str(error))
        except Exception as error:  # its text may hold the webhook's address
            undelivered.append(f"nothing was sent by {way}: {error.__class__.__name__}, which the lab did not expect")
    return delivered, undelivered


def post(address: str, text: str, data: Mapping[str, Any], retry: Retry, sleep: Sleep = time.sleep) -> int:
    """POST a JSON object with ``text`` and the data to a webhook.

    :returns: the number of attempts it took.
    :raises Undelivered: when it was refused, or no attempt succeeded.
    """
    body = json.dumps({"text": text, **data}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "migration-lab"}
    opener = urllib.request.build_opener(_NoRedirect)

    def attempt() -> Optional[str]:
        try:
            with opener.open(urllib.request.Request(address, body, headers), timeout=retry.timeout):
                return None
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in AGAIN:
                raise Undelivered(f"the webhook on {place} refused it with status {error.code}") from None
            return f"status {error.code}"
        except (OSError, http.client.HTTPException) as error:
            return _reason(error)
        except ValueError as error:
            raise Undelivered(f"no request can be sent to the webhook on {place} ({error.__class__.__name__})") from None

    place = urlsplit(address).hostname
    return _try(attempt, f"the webhook on {place}", retry, sleep)


def send_mail(mail: Mail, subject: str, text: str, retry: Retry, sleep: Sleep = time.sleep) -> int:
    """Send a mail.

    :returns: the number of attempts it took.
    :raises Undelivered: when it was refused, or no attempt succeeded.
    """
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = mail.sender, ", ".join(mail.to), " ".join(subject.split())
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="migration-lab.invalid")
    message.set_content(text)
    place = f"the mail server {mail.host}:{mail.port}"

    def attempt() -> Optional[str]:
        try:
            with smtplib.SMTP(mail.host, mail.port, timeout=retry.timeout) as server:
                if mail.starttls:
                    server.starttls(context=ssl.create_default_context())
                if mail.user:
                    server.login(mail.user, mail.password)
                refused = server.send_message(message)
            if refused:
                raise Undelivered(f"{place} refused {', '.join(sorted(refused))}")
            return None
        except smtplib.SMTPResponseException as error:
            if error.smtp_code >= 500:
                raise Undelivered(f"{place} refused it with status {error.smtp_code}") from None
            return f"status {error.smtp_code}"
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            if all(code < 500 for code in codes):
                return " and ".join(f"status {code}" for code in codes)
            raise Undelivered(f"{place} refused {', '.join(sorted(error.recipients))}") from None
        except (smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError) as error:
            raise Undelivered(f"{place}: {error}") from None
        except (OSError, smtplib.SMTPException) as error:
            return _reason(error)
        except ValueError as error:  # a host's name that no name server can be asked for
            raise Undelivered(f"no mail can be sent by {place} ({error.__class__.__name__})") from None

    return _try(attempt, place, retry, sleep)


def _try(attempt: Callable[[], Optional[str]], place: str, retry: Retry, sleep: Sleep) -> int:
    reasons: list[str] = []
    for number in range(1, retry.attempts + 1):
        reason = attempt()
        if reason is None:
            return number
        reasons.append(reason)
        if number < retry.attempts:
            sleep(retry.wait * 2 ** (number - 1))
    raise Undelivered(f"{place} did not take it in {retry.attempts} attempts: {', then '.join(dict.fromkeys(reasons))}")


def _reason(error: BaseException) -> str:
    """What went wrong, without the error's own text, which may hold the address."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    strerror = getattr(cause, "strerror", None)
    return str(strerror) if strerror else cause.__class__.__name__
