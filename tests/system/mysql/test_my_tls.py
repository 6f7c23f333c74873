# SPDX-License-Identifier: ISC
"""TLS at MySQL's door, and the ways of proving a password with and without it."""

import os
import socket
import ssl
import struct
import subprocess

import pymysql
import pytest

from harness.mywire import packet
from harness.myproxy import code, one
from harness.players import need
from harness.postgres import make_certificates

CAPS = 0x000aa20d  # PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH, CONNECT_WITH_DB and what goes with them
SSL_REQUEST = packet(struct.pack("<IIB23x", CAPS | 0x800, 1 << 24, 45), 1)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    where = str(tmp_path_factory.mktemp("certificates"))
    make_certificates(where)
    return where


def with_tls(where, mode="allow", **more):
    return {"client_tls_sslmode": mode, "client_tls_key_file": f"{where}/localhost.key",
            "client_tls_cert_file": f"{where}/localhost.crt", "client_tls_ca_file": f"{where}/ca.crt", **more}


def login(user, plugin, auth=b"", schema=b"shop", seq=1, caps=CAPS):
    body = struct.pack("<IIB23x", caps, 1 << 24, 45) + user + b"\0" + bytes([len(auth)]) + auth + schema + b"\0"
    return packet(body + (plugin + b"\0" if caps & 0x80000 else b""), seq)


class Door:
    """A socket that has been greeted."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(15)
        self.greeting = self.one()

    def one(self):
        """The next packet, or b"" at the end."""
        data, want = b"", 4
        while len(data) < want:
            part = self.sock.recv(want - len(data))
            if not part:
                return b""
            data += part
            if len(data) == 4:
                want += int.from_bytes(data[:3], "little")
        return data

    def say(self, data):
        self.sock.sendall(data)
        return self.one()


def door(proxy):
    return Door(socket.create_connection((proxy.host, proxy.mysql_port), 15))


def offers_tls(greeting):
    at = greeting.index(b"\0", 5) + 1 + 4 + 8 + 1
    return bool(struct.unpack_from("<H", greeting, at)[0] & 0x800)


@pytest.mark.parametrize("mode,offered,plain_allowed", [("disable", False, True), ("allow", True, True), ("prefer", True, True),
                                                        ("require", True, False)])
def test_modes(start, certificates, mode, offered, plain_allowed):
    proxy = start(**with_tls(certificates, mode))
    assert offers_tls(door(proxy).greeting) == offered
    if plain_allowed:
        with proxy.connect() as c:
            assert one(c, "select 1") == 1
    else:
        with pytest.raises(pymysql.MySQLError) as e:
            proxy.connect()
        assert code(e) == 3159
    if offered:
        with proxy.connect(ssl={"ca": f"{certificates}/ca.crt"}) as c:
            assert one(c, "select 1") == 1


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_certificates_of_clients(start, certificates, mode):
    """Without one that the authority has signed nobody gets in."""
    proxy = start(**with_tls(certificates, mode))
    mine = {"ca": f"{certificates}/ca.crt", "cert": f"{certificates}/localhost.crt", "key": f"{certificates}/localhost.key"}
    with pytest.raises((pymysql.MySQLError, OSError)):
        proxy.connect(ssl={"ca": mine["ca"]})
    with pytest.raises(pymysql.MySQLError):
        proxy.connect()
    with proxy.connect(ssl=mine) as c:
        assert one(c, "select 2") == 2


def test_bytes_in_the_clear_behind_the_request_are_not_part_of_the_session(start, certificates):
    """Somebody in between puts a login behind the request: it is taken for TLS, and there is an end."""
    proxy = start(**with_tls(certificates))
    for behind in (login(b"app", b"mysql_native_password", b"x" * 20, seq=2), packet(b"\x03select 1"), b"\x16\x03\x01\0\0"):
        d = door(proxy)
        d.sock.sendall(SSL_REQUEST + behind)
        try:
            d.sock.shutdown(socket.SHUT_WR)
            said = b""
            while part := d.sock.recv(4096):
                said += part
            assert said[:1] in (b"", b"\x15"), "TLS's own alert and nothing else"
        except OSError:
            pass
    with proxy.connect(ssl={"ca": f"{certificates}/ca.crt"}) as c:
        assert one(c, "select 3") == 3


def test_old_clients_where_tls_is_required(start, certificates):
    """No PLUGIN_AUTH, no SSL: the error is one that they can read."""
    proxy = start(**with_tls(certificates, "require"))
    for caps in (CAPS & ~0x80000, CAPS & ~0x88000, CAPS):
        d = door(proxy)
        said = d.say(login(b"app", b"mysql_native_password", b"x" * 20, caps=caps))
        assert said[4] == 0xff and struct.unpack_from("<H", said, 5)[0] == 3159


def test_a_password_in_the_clear_needs_tls(start, certificates):
    """Whoever asks for mysql_clear_password without it is asked for another proof."""
    proxy = start(**with_tls(certificates))
    said = door(proxy).say(login(b"app", b"mysql_clear_password", b"secret\0"))
    assert said == b"" or said[4] in (0xfe, 0xff)
    assert b"clear" not in said
    d = door(proxy)
    d.sock.sendall(SSL_REQUEST)
    context = ssl.create_default_context(cafile=f"{certificates}/ca.crt")
    d.sock = context.wrap_socket(d.sock, server_hostname="localhost")
    said = d.say(login(b"app", b"mysql_clear_password", b"secret\0", seq=2))
    if said[4] == 0xfe:  # asked for another: answered by that
        assert b"\0" in said
    else:
        assert said[4] == 0


@pytest.mark.parametrize("way", ["tls", "socket", "plain"])
def test_by_the_programs_of_the_distribution(start, certificates, way):
    """Connector/C and mysqlnd prove the same password over TLS, the Unix socket, and in the clear (by hash)."""
    proxy = start(**with_tls(certificates))
    where = ["-h", proxy.host, "-P", str(proxy.mysql_port), "--protocol=tcp"]
    if way == "socket":
        where = ["-S", os.path.join(proxy.dir, f".s.MYSQL.{proxy.mysql_port}")]
    more = ["--ssl", f"--ssl-ca={certificates}/ca.crt"] if way == "tls" else ["--ssl=0"]
    for plugin in ("mysql_native_password", "caching_sha2_password"):
        done = subprocess.run([need("mariadb"), "--no-defaults", *where, *more, f"--default-auth={plugin}", "-u", "app", "-psecret",
                               "-N", "-e", "select database(), 4", "shop"], capture_output=True, text=True, timeout=30)
        assert done.stdout == "shop\t4\n", (plugin, done.stderr)


def test_sessions_are_resumed(start, certificates):
    """A second handshake of the same client costs no signature."""
    proxy = start(**with_tls(certificates))
    context = ssl.create_default_context(cafile=f"{certificates}/ca.crt")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    session = None
    for turn in range(2):
        d = door(proxy)
        d.sock.sendall(SSL_REQUEST)
        tls = context.wrap_socket(d.sock, server_hostname="localhost", session=session)
        assert tls.session_reused == (turn == 1)
        session = tls.session
        tls.close()
