/* SPDX-License-Identifier: ISC
 * See pg_msg.h.
 */
#include "config.h"

#include "proto/pg/pg_msg.h"
