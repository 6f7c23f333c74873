/* SPDX-License-Identifier: ISC
 * The packets of a login between client and weir, apart from any login: the greeting is written,
 * the answer to it (and COM_CHANGE_USER, which says the same in another order) is read.
 *
 * Pure: bytes in, views into them out. Any thread. Nothing is read beyond the end of a packet.
 * Follows "Connection Phase Packets" (HandshakeV10, SSLRequest, HandshakeResponse41,
 * AuthSwitchRequest) and "COM_CHANGE_USER" of MySQL's source documentation.
 */
#ifndef WEIR_PROTO_MYSQL_MY_HANDSHAKE_H
#define WEIR_PROTO_MYSQL_MY_HANDSHAKE_H

#include "base/buf.h"
#include "proto/mysql/my_packet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MY_PLUGIN_NATIVE "mysql_native_password"
#define MY_PLUGIN_SHA2   "caching_sha2_password"
#define MY_PLUGIN_CLEAR  "mysql_clear_password"

/* A user's or schema's name, with room for a function behind it. */
#define MY_NAME_MAX 320u

struct my_greeting {
    const char *version, *plugin;
    uint32_t id, caps;
    uint8_t charset;
    uint16_t status;
    const uint8_t *salt; /* MY_SALT_BYTES, printable */
};

/* Append the greeting, which is the packet number 0. false: out of memory. */
bool my_greeting_put(struct buf *out, const struct my_greeting *g);

/* Append an AuthSwitchRequest. false: out of memory. */
bool my_switch_put(struct buf *out, uint8_t seq, const char *plugin, const uint8_t *salt);

/* Capabilities as a greeting or an answer to one has them: four bytes that stand early in it and
 * four late, of which servers and clients of MySQL know nothing. */
struct my_wire_caps {
    uint32_t first, last;
};
struct my_wire_caps my_caps_to_wire(uint32_t caps);
uint32_t my_caps_of_wire(struct my_wire_caps wire);

/* What the client says. Views into the packet; absent ones have p NULL. */
struct my_hello {
    uint32_t caps; /* as sent, less what was not offered */
    uint16_t charset;
    bool tls;      /* an SSLRequest: nothing else is in it */
    bool compress; /* it asks for compression, which is never offered */
    struct my_view user, auth, database, plugin, attributes;
};

enum my_hello_fault {
    MY_HELLO_OK,
    MY_HELLO_BAD, /* malformed */
    MY_HELLO_OLD, /* speaks the protocol from before 4.1 */
};

/* The payload of the answer to a greeting that offered these capabilities. */
enum my_hello_fault my_hello_parse(const uint8_t *payload, size_t n, uint32_t offered,
                                   struct my_hello *out);

/* The payload of COM_CHANGE_USER with its command byte, of a client with these capabilities. */
enum my_hello_fault my_change_user_parse(const uint8_t *payload, size_t n, uint32_t caps,
                                         struct my_hello *out);

/* The next connection attribute; `rest` shrinks. false: there is none, or what is left is broken.
 */
bool my_attribute_next(struct my_view *rest, struct my_view *name, struct my_view *value);

#endif
