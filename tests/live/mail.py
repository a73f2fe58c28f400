"""A mail server for tests: mail.py FOLDER ADDRESS CERTIFICATE KEY prints three ports, then writes each mail into FOLDER.

The first port speaks TLS from the start, the second after STARTTLS, and both want a login first; the third is in the clear and
takes mail from anybody. A mail's file is called by the number of its port, from 0; its first line says who was logged in, whom it
is from, and whom it is to.
"""

import asyncio
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

folder, address, certificate, key = sys.argv[1:]


def authenticate(server, session, envelope, mechanism, data):
    known = isinstance(data, LoginPassword) and data.password == b"pass word"
    return AuthResult(success=known, auth_data=data.login.decode() if known else None)


class Keep:
    def __init__(self, name):
        self.name = name

    async def handle_DATA(self, server, session, envelope):
        text = f"{session.auth_data} {envelope.mail_from} {' '.join(envelope.rcpt_tos)}\n".encode()
        path = pathlib.Path(folder, self.name)
        path.with_suffix(".new").write_bytes(text + envelope.original_content)
        path.with_suffix(".new").rename(path)
        return "250 OK"


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    login = {"authenticator": authenticate, "auth_required": True}
    ways = [
        ({"auth_require_tls": False, **login}, {"ssl": context}),
        ({"tls_context": context, "require_starttls": True, **login}, {}),
        ({}, {}),
    ]
    loop = asyncio.get_running_loop()
    ports = []
    for number, (smtp, listening) in enumerate(ways):
        make = lambda number=number, smtp=smtp: SMTP(Keep(str(number)), hostname="mail.test", **smtp)
        server = await loop.create_server(make, address, 0, **listening)
        ports.append(server.sockets[0].getsockname()[1])
    print(*ports, flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
