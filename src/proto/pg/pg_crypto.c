/* SPDX-License-Identifier: ISC
 * See pg_crypto.h.
 */
#include "config.h"

#include "proto/pg/pg_crypto.h"
