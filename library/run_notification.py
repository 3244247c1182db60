#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: run_notification
short_description: Notify people of a run by a webhook and by mail
description:
  - Posts a JSON object with the line C(text) and the data to a webhook, and sends a mail by SMTP.
  - Tries again, after a wait that doubles, what may succeed later (not reached, no answer in time, HTTP status 408, 429 or 5xx,
    SMTP status 4xx), but not what was refused, nor a mail that some of its receivers got. A redirect counts as refused.
  - Fails when the settings are wrong, not when something was not delivered; see RV(undelivered).
  - Messages name the webhook's host, never the rest of its address, nor a password.
options:
  text:
    description: The message in a line; the mail's subject.
    type: str
    default: ""
  body:
    description: The mail's text.
    type: str
    default: ""
  data:
    description: Further fields of the webhook's object.
    type: dict
    default: {}
  webhook:
    description: Address of the webhook. Empty for none.
    type: str
    default: ""
  webhook_file:
    description: File of mode 0600 with the address, in place of O(webhook).
    type: str
    default: ""
  mail:
    description: Where the mail goes. Nothing is sent while C(to) is empty.
    type: dict
    default: {}
    suboptions:
      host: {description: The SMTP server., type: str, default: ""}
      port: {description: Its port., type: int, default: 25}
      starttls: {description: "Whether to encrypt, with a certificate that must be valid.", type: bool, default: true}
      user: {description: Whom to log in as. Empty for no login. Needs C(starttls)., type: str, default: ""}
      password_file: {description: File of mode 0600 with the password., type: str, default: ""}
      from: {description: The sender's address., type: str, default: ""}
      to: {description: The receivers' addresses., type: list, elements: str, default: []}
  attempts:
    description: How often to try, all in all.
    type: int
    default: 4
  wait:
    description: Seconds before the second attempt.
    type: float
    default: 5
  timeout:
    description: Seconds that one attempt may take.
    type: float
    default: 30
attributes:
  check_mode: {support: full, description: "Checks the settings and that secrets can be read, and sends nothing."}
notes:
  - Runs on the controller.
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Notify the people who asked for it
  run_notification:
    text: "{{ report.line }}"
    data: {green: "{{ report.green }}"}
    webhook_file: /etc/migration-lab/webhook
    mail:
      host: mail.example.org
      from: lab@example.org
      to: [virtualization@example.org]
  register: notified
"""

RETURN = r"""
delivered:
  description: What was delivered, each with the attempts that it took.
  returned: always
  type: list
  elements: str
  sample: ["by webhook in 3 attempts"]
undelivered:
  description: What was not delivered, and why.
  returned: always
  type: list
  elements: str
  sample: ["the webhook on chat.example.org did not take it in 4 attempts: status 503"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.nightly.notification import (
    Retry,
    check_webhook,
    deliver,
    make_mail,
    post,
    read_secret,
    send_mail,
)

MAIL = {
    "host": {"type": "str", "default": ""},
    "port": {"type": "int", "default": 25},
    "starttls": {"type": "bool", "default": True},
    "user": {"type": "str", "default": ""},
    "password_file": {"type": "str", "default": "", "no_log": False},
    "from": {"type": "str", "default": ""},
    "to": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "text": {"type": "str", "default": ""},
            "body": {"type": "str", "default": ""},
            "data": {"type": "dict", "default": {}},
            "webhook": {"type": "str", "default": "", "no_log": True},
            "webhook_file": {"type": "str", "default": ""},
            "mail": {"type": "dict", "default": {}, "options": MAIL},
            "attempts": {"type": "int", "default": 4},
            "wait": {"type": "float", "default": 5.0},
            "timeout": {"type": "float", "default": 30.0},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        address = given["webhook"]
        if given["webhook_file"]:
            address = read_secret(given["webhook_file"], "nightly_webhook_file")
        if address:
            check_webhook(address)
        mail = make_mail(given["mail"])
        if given["attempts"] < 1 or given["wait"] < 0 or given["timeout"] <= 0:
            raise LabError("nightly_notify_attempts must be at least 1, nightly_notify_wait at least 0 seconds")
    except LabError as error:
        module.fail_json(msg=str(error))
    if module.check_mode:
        module.exit_json(changed=bool(address or mail), delivered=[], undelivered=[])
    retry = Retry(given["attempts"], given["wait"], given["timeout"])
    ways = {}
    if address:
        ways["webhook"] = lambda: post(address, given["text"], given["data"], retry)
    if mail:
        ways["mail"] = lambda: send_mail(mail, given["text"], given["body"], retry)
    delivered, undelivered = deliver(ways)
    module.exit_json(changed=bool(delivered), delivered=delivered, undelivered=undelivered)


if __name__ == "__main__":
    main()
